import io
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from emu.data.fitting import fit, micro_conditioning
from emu.data.pictures import BadPicture, decode, read_size
from emu.data.pillow import REMARKS

PHOTOS = Path(__file__).parents[3] / "shared" / "data" / "photos"
LIMIT = 100_000_000


def stored(image: Image.Image, format: str, **kw: object) -> Callable[[], io.BytesIO]:
    buffer = io.BytesIO()
    image.save(buffer, format, **kw)
    return partial(io.BytesIO, buffer.getvalue())


def gradient(mode: str = "RGB") -> Image.Image:
    rows, columns = np.mgrid[0:24, 0:40]
    return Image.fromarray(np.stack([rows * 10, columns * 6, rows * 0 + 77], axis=-1).astype(np.uint8)).convert(mode)


def pixels(file: Callable[[], io.BytesIO]) -> np.ndarray:
    image = decode(file, max_pixels=LIMIT)
    assert image.mode == "RGB"
    assert read_size(file, max_pixels=LIMIT) == (image.height, image.width)
    return np.asarray(image).astype(int)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_exif_rotation_is_undone(orientation: int, format: str) -> None:
    seen = np.asarray(gradient())
    turn: dict[int, Callable[[np.ndarray], np.ndarray]] = {  # from what is seen to what a camera stores
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: np.rot90,
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    camera = Image.fromarray(np.ascontiguousarray(turn[orientation](seen)))
    lossless = {"lossless": True} if format == "WEBP" else {}
    np.testing.assert_array_equal(pixels(stored(camera, format, exif=exif, **lossless)), seen)


def test_a_colour_profile_is_brought_to_srgb() -> None:
    grey = Image.new("RGB", (8, 8), (120, 120, 120))
    linear = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ"))
    tagged = pixels(stored(grey, "PNG", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()))
    assert abs(tagged - 120).max() <= 1
    broken = pixels(stored(grey, "PNG", icc_profile=linear.tobytes()))  # no RGB profile: shown as untagged
    assert (broken == 120).all()
    assert (pixels(stored(grey, "PNG", icc_profile=b"nonsense")) == 120).all()


def test_a_wide_gamut_profile_changes_the_numbers() -> None:
    swapped = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = swapped.index(b"rXYZ", 128), swapped.index(b"bXYZ", 128)
    swapped[red : red + 4], swapped[blue : blue + 4] = b"bXYZ", b"rXYZ"  # a space whose red is our blue
    seen = pixels(stored(Image.new("RGB", (4, 4), (200, 40, 10)), "PNG", icc_profile=bytes(swapped)))
    assert abs(seen - [10, 40, 200]).max() <= 3


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_lies_on_white(mode: str) -> None:
    image = Image.new(mode, (2, 1), (0, 0, 0, 0)[: len(mode)] if mode == "RGBA" else (0, 0))
    image.putpixel((1, 0), (0, 0, 0, 255) if mode == "RGBA" else (0, 255))
    np.testing.assert_array_equal(pixels(stored(image, "PNG"))[0], [[255] * 3, [0] * 3])


def test_a_transparent_palette_lies_on_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    np.testing.assert_array_equal(pixels(stored(image, "PNG", transparency=0))[0], [[255] * 3, [0, 0, 255]])


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(4, 0)
    seen = pixels(stored(Image.fromarray(ramp), "PNG"))
    np.testing.assert_array_equal(seen[0, :, 0], np.arange(256))


def test_cmyk_is_shown_in_its_colours() -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    seen = pixels(stored(image, "JPEG", quality=95))
    assert abs(seen - [255, 0, 0]).max() < 12


def test_more_pixels_than_the_limit_are_refused_by_the_header() -> None:
    width, height = 60_000, 50_000
    header = b"P6 %d %d 255\n" % (width, height)  # 3 gigapixels announced, none there
    before = Image.MAX_IMAGE_PIXELS
    for look in (read_size, decode):
        with pytest.raises(BadPicture, match=r"more than 1,000,000 pixels \(data.max_pixels\)"):
            look(partial(io.BytesIO, header), max_pixels=1_000_000)
    assert before == Image.MAX_IMAGE_PIXELS


def test_threads_that_read_have_limits_of_their_own_and_leave_the_process_its(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two that begin one after the other and end in this order, the second put back what the first had set."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5_000)
    small, large = (stored(Image.new("RGB", (side, side)), "TIFF") for side in (40, 200))
    begun, ended = Event(), Event()

    def waits() -> io.BytesIO:
        begun.set()
        assert ended.wait(60)
        return small()

    shown = warnings.filters[:]
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(decode, waits, max_pixels=1_600)
        assert begun.wait(60)
        assert decode(large, max_pixels=40_000).size == (200, 200)
        with pytest.raises(BadPicture, match="more than 39,999 pixels"):
            decode(large, max_pixels=39_999)
        Image.open(stored(Image.new("RGB", (90, 110)), "PNG")())  # of others, who may go to twice their limit
        ended.set()
        assert first.result().size == (40, 40)
    assert Image.MAX_IMAGE_PIXELS == 5_000
    with pytest.warns(Image.DecompressionBombWarning):
        Image.open(stored(Image.new("RGB", (90, 110)), "PNG")())
    assert [each for each in warnings.filters if each not in shown] in ([], [REMARKS])


def test_a_process_without_a_limit_has_none_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    image = stored(Image.new("RGB", (20, 10)), "PNG")
    assert read_size(image, max_pixels=200) == (10, 20)
    with pytest.raises(BadPicture, match="more than 199 pixels"):
        read_size(image, max_pixels=199)
    assert Image.MAX_IMAGE_PIXELS is None


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "AVIF"])
def test_more_than_pillow_would_take_is_read_where_the_limit_says_so(
    format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000)
    image = stored(Image.new("RGB", (64, 48)), format)
    assert decode(image, max_pixels=64 * 48).size == (64, 48)
    with pytest.raises(BadPicture, match="more than 3,071 pixels"):
        decode(image, max_pixels=64 * 48 - 1)


@pytest.mark.parametrize("over", [1, 30, 100])
def test_the_limit_is_exact(over: int) -> None:
    image = stored(Image.new("RGB", (10, 10 + over)), "PNG")
    assert read_size(image, max_pixels=100 + 10 * over) == (10 + over, 10)
    with pytest.raises(BadPicture, match="more than"):
        read_size(image, max_pixels=99 + 10 * over)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF", "GIF"])
def test_a_torn_file_is_a_bad_picture(format: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    whole = stored(noise, format)().getvalue()
    with pytest.raises(BadPicture):
        decode(partial(io.BytesIO, whole[: len(whole) // 2]), max_pixels=LIMIT)
    with pytest.raises(BadPicture, match="not a picture"):
        decode(partial(io.BytesIO, b"no picture at all"), max_pixels=LIMIT)


def test_floating_point_is_refused_by_name() -> None:
    with pytest.raises(BadPicture, match="floating-point"):
        decode(stored(Image.new("F", (4, 4)), "TIFF"), max_pixels=LIMIT)


@pytest.mark.parametrize("size", [(40, 24), (24, 40), (400, 60), (7, 5), (64, 32)])
@pytest.mark.parametrize("bucket", [(32, 64), (48, 48), (64, 32)])
def test_fit_covers_the_bucket_around_the_centre(size: tuple[int, int], bucket: tuple[int, int]) -> None:
    width, height = size
    flat = Image.new("RGB", size, (255, 0, 51))
    tensor = fit(flat, bucket)
    assert tensor.shape == (3, *bucket)
    assert tensor.dtype == torch.float32
    assert tensor.is_contiguous()
    torch.testing.assert_close(tensor[:, 0, 0], torch.tensor([1.0, -1.0, 2 * 51 / 255 - 1]))
    assert (tensor == tensor[:, :1, :1]).all()  # covered to the edges, nothing padded
    *original, top, left, h, w = micro_conditioning(height, width, bucket).tolist()
    assert (original, (h, w)) == ([height, width], bucket)
    scale = max(h / height, w / width)
    assert abs(2 * top + h - height * scale) <= 1.5
    assert abs(2 * left + w - width * scale) <= 1.5
    assert min(top, left) == 0


def test_a_picture_of_the_bucket_s_size_keeps_its_pixels() -> None:
    image = gradient()
    tensor = fit(image, (24, 40))
    np.testing.assert_array_equal(((tensor + 1) * 127.5).round().permute(1, 2, 0).numpy(), np.asarray(image))


def test_shrinking_averages_rather_than_skips() -> None:
    board = np.indices((256, 256)).sum(0) % 2 * 255
    tensor = fit(Image.fromarray(board.astype(np.uint8)).convert("RGB"), (16, 16))
    assert tensor.abs().max() < 0.1


@pytest.mark.skipif(not PHOTOS.exists(), reason="the photographs are not beside the checkout")
def test_photographs() -> None:
    shapes = {read_size(partial(path.open, "rb"), max_pixels=LIMIT) for path in PHOTOS.glob("*.jpg")}
    assert any(height > width for height, width in shapes)
    smallest = min(PHOTOS.glob("*.jpg"), key=lambda path: path.stat().st_size)
    image = decode(partial(smallest.open, "rb"), max_pixels=LIMIT)
    assert (image.height, image.width) == read_size(partial(smallest.open, "rb"), max_pixels=LIMIT)
    with pytest.raises(BadPicture, match="max_pixels"):
        decode(partial(smallest.open, "rb"), max_pixels=100_000)
