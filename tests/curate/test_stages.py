"""What each stage measures, on pictures whose answer is known."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from emu.curate.picture import Picture, reduced
from emu.curate.stages import Borders, Caption, Duplicates, Judged, Language, Popularity, Readable, Shape, Technical
from emu.curate.stages.borders import inside
from emu.data.pictures import BadPicture, decode
from emu.data.sources import Entry
from emu.errors import UserError
from haystack import pixels, stored


def picture(image: Image.Image, kind: str = "PNG", *, text: str = "a text", side: int = 0, **more: Any) -> Picture:
    content = stored(image, kind, **more.pop("options", {}))
    entry = Entry("name.png", text, lambda: io.BytesIO(content), more)
    return Picture(entry, content, side=side, max_pixels=10_000_000)


def texture(size: tuple[int, int] = (160, 128)) -> Image.Image:
    """Detail at every scale, as a photograph has it."""
    layers = [pixels(i, size).resize((size[0] // n, size[1] // n)).resize(size) for i, n in ((1, 1), (2, 4), (3, 2))]
    fine = np.random.default_rng(0).integers(0, 256, (size[1] // 2, size[0] // 2, 3), dtype=np.uint8)
    layers.append(Image.fromarray(fine).resize(size, Image.Resampling.BICUBIC))
    return Image.fromarray(np.mean([np.asarray(layer, dtype=float) for layer in layers], axis=0).astype(np.uint8))


def test_a_header_is_told_upright_and_with_its_frames() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    row = Readable().measure(picture(pixels(0, (48, 40)), "JPEG", options={"exif": exif}))
    assert (row["width"], row["height"], row["format"], row["animated"]) == (40, 48, "JPEG", False)
    moving = picture(pixels(0), "GIF", options={"save_all": True, "append_images": [pixels(1)]})
    assert Readable().measure(moving)["animated"] is True
    assert Shape().measure(picture(pixels(0, (90, 30)))) == {"short_side": 30, "aspect": 3.0}


def test_a_jpeg_is_scaled_while_it_is_decoded_and_no_further_than_asked() -> None:
    content = stored(texture((1000, 800)), "JPEG")
    for least, size in ((None, (1000, 800)), (400, (500, 400)), (401, (1000, 800)), (100, (125, 100))):
        assert decode(lambda: io.BytesIO(content), max_pixels=10**6, least=least).size == size
    cut = content[: len(content) // 2]
    with pytest.raises(BadPicture):
        decode(lambda: io.BytesIO(cut), max_pixels=10**6, least=100)


def technical(image: Image.Image, kind: str = "PNG", **options: Any) -> dict[str, float]:
    return Technical().measure(picture(image, kind, options=options))


def test_each_fault_moves_its_own_measure() -> None:
    clean = technical(texture())
    rng = np.random.default_rng(1)
    noisy = np.asarray(texture(), dtype=float) + rng.normal(0, 20, (128, 160, 3))
    assert technical(texture().filter(ImageFilter.GaussianBlur(3)))["blur"] > clean["blur"] + 0.2
    assert technical(Image.fromarray(noisy.clip(0, 255).astype(np.uint8)))["noise"] > clean["noise"] + 8
    assert technical(texture(), "JPEG", quality=5)["blocks"] > 1.5 > 1.2 > clean["blocks"]
    dark, bright = (texture().point(lambda v, f=f, o=o: v * f + o) for f, o in ((0.01, 0), (0.01, 253)))
    assert technical(dark)["dark"] > 0.99
    assert technical(bright)["bright"] > 0.99
    assert technical(texture().point(lambda v: v // 4 + 90))["contrast"] < clean["contrast"] / 2
    grey = texture().convert("L").convert("RGB")
    assert technical(grey)["colour"] == pytest.approx(0, abs=1e-6)
    assert clean["colour"] > 10


def test_the_noise_that_was_put_in_is_measured() -> None:
    levels = 128 + np.random.default_rng(0).normal(0, 10, (200, 200, 1)).repeat(3, axis=2)
    assert technical(Image.fromarray(levels.round().astype(np.uint8)))["noise"] == pytest.approx(10, rel=0.05)


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (9, 2), (3, 3)])
def test_the_smallest_pictures_have_measures_too(size: tuple[int, int]) -> None:
    assert all(np.isfinite(value) for value in technical(Image.new("RGB", size, "teal")).values())


def framed(colour: str, box: tuple[int, int, int, int], size: tuple[int, int] = (160, 128)) -> Image.Image:
    image = Image.new("RGB", size, colour)
    image.paste(texture(size).crop(box), box)
    return image


@pytest.mark.parametrize("colour", ["black", "white", "teal"])
@pytest.mark.parametrize("box", [(10, 0, 160, 128), (0, 20, 160, 100), (12, 9, 141, 120), (0, 0, 160, 128)])
def test_borders_are_found_and_cut(colour: str, box: tuple[int, int, int, int]) -> None:
    assert inside(np.asarray(framed(colour, box))) == box
    one = picture(framed(colour, box))
    row = Borders(cut=True).measure(one)
    assert one.image.size == (box[2] - box[0], box[3] - box[1])
    assert row["crop"] == (None if row["border"] == 0 else ",".join(map(str, box)))


def test_an_even_sky_and_a_plain_ground_are_no_borders() -> None:
    sky = np.zeros((128, 160, 3), dtype=np.uint8)
    sky[:] = np.linspace(90, 200, 128).astype(np.uint8)[:, None, None]
    sky[90:, 40:90] = 30
    assert inside(sky) == (0, 0, 160, 128)
    icon = Image.new("RGB", (160, 128), "white")
    icon.paste(texture().crop((0, 0, 40, 40)), (60, 44))
    assert inside(np.asarray(icon)) == (0, 0, 160, 128)
    assert Borders().measure(picture(Image.new("RGB", (20, 20), "red")))["border"] == 0


def test_two_even_halves_have_no_border() -> None:
    """Each half would be a border, and nothing would be left between them."""
    halves = Image.new("RGB", (160, 128), "navy")
    halves.paste("white", (0, 60, 160, 128))
    assert inside(np.asarray(halves)) == (0, 0, 160, 128)
    assert Borders(cut=True).measure(picture(halves)) == {"border": 0, "crop": None}


def apart(a: Image.Image, b: Image.Image, kind: str = "PNG", **options: Any) -> int:
    hashes = [int(Duplicates().measure(picture(a))["phash"]),
              int(Duplicates().measure(picture(b, kind, options=options))["phash"])]  # fmt: skip
    return (hashes[0] ^ hashes[1]).bit_count()


def test_copies_look_alike_and_other_pictures_do_not() -> None:
    assert apart(texture(), texture(), "JPEG", quality=40) <= 6
    assert apart(texture(), texture().resize((320, 256), Image.Resampling.LANCZOS)) <= 6
    assert apart(texture(), pixels(9, (160, 128))) > 10


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a red fox in the snow", (6, 1.0, False)),
        ("IMG_2041.jpg", (2, 1.0, True)),
        ("write to me@example.org", (5, 1.0, True)),
        ("see https://example.org", (4, 1.0, True)),
        ("una volpe rossa, \u043b\u0438\u0441\u0430", (4, 13 / 17, False)),
        ("", (0, 0.0, False)),
    ],
)
def test_captions(text: str, wanted: tuple[int, float, bool]) -> None:
    row = Caption().measure(picture(pixels(0), text=text))
    assert (row["caption_words"], pytest.approx(row["caption_latin"]), row["caption_junk"]) == wanted
    assert Caption().measure(picture(pixels(0), text="Buy buy BUY now"))["caption_repeats"] == 0.5


def test_likes_are_numbers_or_none() -> None:
    assert Popularity().measure(picture(pixels(0), likes=7)) == {"popularity": 7.0}
    assert Popularity("votes", "votes_up").measure(picture(pixels(0), likes=7, votes="many")) == {"votes_up": None}


def test_a_judge_is_named_as_compare_names_it() -> None:
    row = Judged("emu.judges.world.WorldAppeal", column="appeal", side=64).measure(picture(texture()))
    assert 0 <= row["appeal"] <= 1
    for wrong in ("pathlib.Path", "nowhere.Judge", "emu.judges.world.WorldAppeal:a:b:c/none", "Judge"):
        with pytest.raises(UserError, match="stage appeal"):
            Judged(wrong, column="appeal").measure(picture(texture()))


def test_a_judge_is_shown_no_more_than_it_asks_for() -> None:
    assert [reduced(Image.new("RGB", size), 100).size for size in ((99, 400), (250, 300), (1000, 400))] == [
        (99, 400),
        (125, 150),
        (250, 100),
    ]


@pytest.mark.parametrize(
    ("text", "language", "wanted"),
    [
        ("a red fox in the snow", "en", True),
        ("two dogs at a window", "en", True),
        ("eine Tasse Kaffee auf einem Holztisch", "de", False),
        ("un renard roux dans la neige", "fr", False),
        ("una taza de cafe sobre la mesa", "es", False),
        ("\u043a\u0440\u0430\u0441\u043d\u0430\u044f \u043b\u0438\u0441\u0430", "ru", False),
    ],
)
def test_the_language_of_a_caption(text: str, language: str, wanted: bool) -> None:
    one = picture(pixels(0), text=text)
    row = Language().measure(one)
    assert row["language"] == language
    assert (row["language_wanted"] >= 0.1) is wanted
    both = Language(["en", language] if language != "en" else ["en"]).measure(one)["language_wanted"]
    assert 1 >= both >= row["language_wanted"]
    assert both > 0.1


def test_a_language_that_is_none_is_named_and_no_caption_is_no_trouble() -> None:
    with pytest.raises(UserError, match="no language english; there are ace, af, "):
        Language(["english"]).require()
    for text in ("", "1234", "\x00", "\U0001f98a" * 3, "word " * 5000):
        assert 0 <= Language().measure(picture(pixels(0), text=text))["language_wanted"] <= 1
