"""Of copies of a photograph the original stays, whatever was done to them."""

import io
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import yaml
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from sklearn.datasets import load_sample_images
from test_optional import PAPER

from emu.curate.picture import Picture
from emu.curate.stage import Row
from emu.curate.stages import Borders, Detail, Duplicates, Readable, Technical
from emu.data.sources import Entry
from emu.errors import UserError
from haystack import stored

SCALE = Image.Resampling
SMOOTH = (SCALE.BILINEAR, SCALE.BICUBIC, SCALE.LANCZOS)
(ARGUMENTS,) = (one["init_args"] for one in yaml.safe_load(PAPER.read_text())["stages"]
                if one["class_path"].endswith("Duplicates"))  # fmt: skip


@pytest.fixture(scope="module")
def photographs() -> list[Image.Image]:
    """A pagoda and a flower, 640 x 427."""
    return [Image.fromarray(pixels) for pixels in load_sample_images().images]


@pytest.fixture(scope="module")
def originals(photographs: list[Image.Image]) -> list[Row]:
    return [measured(jpeg(image, 90)) for image in photographs]


def measured(content: bytes) -> Row:
    """What the stages before say; captions are another matter."""
    entry = Entry("name.jpg", "a text", lambda: io.BytesIO(content), {})
    picture = Picture(entry, content, side=0, max_pixels=10_000_000)
    row: Row = {"language_wanted": 0.9}
    for stage in (Readable(), Borders(cut=True), Technical(), Detail(), Duplicates()):
        row |= stage.measure(picture)
    return row | Readable().measure(picture)


def stay(*rows: Row) -> list[int]:
    scores = {name: np.array([row[name] for row in rows], dtype=object if isinstance(rows[0][name], bytes) else None)
              for name in rows[0]}  # fmt: skip
    return np.flatnonzero(~Duplicates(**ARGUMENTS).choose(scores, np.ones(len(rows), dtype=bool)).leaves).tolist()


def is_kept(original: Row, *copies: Row) -> bool:
    """Wherever it stands. Copies that look another way, having been sharpened much, may stay beside it."""
    return len(copies) in stay(*copies, original) and 0 in stay(original, *copies)


def sized(image: Image.Image, times: float, kernel: Image.Resampling) -> Image.Image:
    return image.resize((round(image.width * times), round(image.height * times)), kernel)


def sharpened(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.UnsharpMask(2, 150, 0))


def jpeg(image: Image.Image, quality: int = 92) -> bytes:
    return stored(image, "JPEG", quality=quality)


def scaled() -> Iterator[tuple[str, Callable[[Image.Image], bytes]]]:
    for kernel in SMOOTH:  # so little that the kernel softens much of what the smaller copy holds
        yield f"1.1 times by {kernel.name}", lambda image, kernel=kernel: jpeg(sized(image, 1.1, kernel))
    for times in (0.6, 1.5, 2):
        for kernel in SMOOTH:
            name = f"{times:g} times by {kernel.name}"
            yield name, lambda image, times=times, kernel=kernel: jpeg(sized(image, times, kernel))
            yield f"{name}, sharpened", lambda image, t=times, kernel=kernel: jpeg(sharpened(sized(image, t, kernel)))
        yield f"{times:g} times, compressed", lambda image, times=times: jpeg(sized(image, times, SCALE.LANCZOS), 60)


@pytest.mark.parametrize("copy", [pytest.param(make, id=name) for name, make in scaled()])
def test_an_original_stays_whatever_was_scaled_from_it(
    copy: Callable[[Image.Image], bytes], photographs: list[Image.Image], originals: list[Row]
) -> None:
    for image, original in zip(photographs, originals, strict=True):
        assert is_kept(original, measured(copy(image)))


@pytest.mark.parametrize("quality", [75, 60, 45])
def test_an_original_stays_and_not_its_recompressed_copy(
    quality: int, photographs: list[Image.Image], originals: list[Row]
) -> None:
    for image, original in zip(photographs, originals, strict=True):
        assert stay(measured(jpeg(image, quality)), original) == [1]


@pytest.mark.parametrize("quality", [75, 60, 45])
def test_the_step_that_a_jpeg_rounded_to_is_read_from_its_pixels_in_any_later_file(
    quality: int, photographs: list[Image.Image]
) -> None:
    for image in photographs:
        once = Image.open(io.BytesIO(jpeg(image, quality)))
        table = once.quantization[0]
        step = np.median([table[1], table[8], table[9], table[2], table[16]])
        files = jpeg(image, quality), jpeg(once.convert("RGB"), 92), stored(once.convert("RGB"), "PNG")
        assert [measured(one)["coarseness"] for one in files] == pytest.approx([step] * 3, abs=1)
        assert measured(stored(image, "PNG"))["coarseness"] <= 2


@pytest.mark.parametrize("change", ["as it is", "signed", "as PNG"])
def test_who_was_saved_again_better_does_not_win(change: str, photographs: list[Image.Image]) -> None:
    for image in photographs:
        original = jpeg(image, 75)
        again = Image.open(io.BytesIO(original)).convert("RGB")
        if change == "signed":
            ImageDraw.Draw(again).text((620, 420), "Jane", "white", ImageFont.load_default(14), anchor="rs")
        content = stored(again, "PNG") if change == "as PNG" else jpeg(again, 92)
        assert is_kept(measured(original), measured(content))


def test_of_a_soft_picture_the_original_stays_though_compression_left_fewer_blocks_in_its_copy() -> None:
    """Nearly nothing varies, and what did is rounded away: no step is left to see, nor blocks."""
    rng = np.random.default_rng(0)
    soft = Image.fromarray(rng.integers(120, 136, (9, 12, 3), dtype=np.uint8)).resize((768, 576), SCALE.BICUBIC)
    rows = [measured(jpeg(soft, quality)) for quality in (90, 45)]
    assert is_kept(*rows)
    assert is_kept(rows[0] | {"blocks": 0.3}, rows[1])


def test_an_original_stays_and_not_what_was_framed_and_is_cut(
    photographs: list[Image.Image], originals: list[Row]
) -> None:
    for image, original in zip(photographs, originals, strict=True):
        framed = Image.new("RGB", (image.width + 60, image.height + 60), "white")
        framed.paste(image, (30, 30))
        assert stay(measured(jpeg(framed, 95)), original) == [1]


def test_what_is_signed_and_made_larger_leaves(photographs: list[Image.Image], originals: list[Row]) -> None:
    for image, original in zip(photographs, originals, strict=True):
        signed = sized(image, 2, SCALE.LANCZOS)
        ImageDraw.Draw(signed).text((1240, 840), "Jane", "white", ImageFont.load_default(14), anchor="rs")
        assert stay(measured(jpeg(signed)), original) == [1]


def test_what_makes_a_copy_worse_counts_more_than_its_pixels(photographs: list[Image.Image]) -> None:
    small, large = (measured(jpeg(sized(photographs[0], times, SCALE.LANCZOS))) for times in (0.6, 1))
    assert stay(small, large | {"language_wanted": 0.5}) == [0]
    assert stay(small, large) == [1]


def test_of_a_whole_crowd_of_copies_the_original_stays(photographs: list[Image.Image], originals: list[Row]) -> None:
    for image, original in zip(photographs, originals, strict=True):
        crowd = [jpeg(sized(image, times, SCALE.LANCZOS), quality) for times in (0.8, 1, 1.4) for quality in (60, 75)]
        assert stay(*(measured(one) for one in crowd), original) == [len(crowd)]


def test_a_margin_of_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="worse_by blocks: by how much more"):
        Duplicates(worse_by={"blocks": 0})
