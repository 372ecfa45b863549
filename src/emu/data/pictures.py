"""A picture file -> sRGB pixels of a bucket's shape: orientation, colour profile, transparency, 16 bit, CMYK, palette.

`read_size` looks at the header alone; `decode` and `fit` make the pixels. What is wrong with a file is a BadPicture.
"""

import functools
import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from emu.data.buckets import Bucket

if TYPE_CHECKING:  # imported where tensors are made: who looks at pictures alone does not pay for it
    from torch import Tensor

Opener = Callable[[], io.BufferedReader | io.BytesIO]  # picklable, so that worker processes can read

# The parsers that a file may reach, of Pillow's more than forty; none of them starts another program.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "PPM")

PREPROCESSING = "lanczos-centre-2"  # part of a cached picture's key: change it whenever the pixels of `fit` change

ORIENTATION = 0x0112  # the EXIF tag
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class BadPicture(Exception):
    """The file cannot be used; the message says why, in words that follow its name."""


def read_size(file: Opener, *, max_pixels: int) -> tuple[int, int]:
    """(height, width) as the picture is looked at, EXIF rotation applied, from the header without decoding.

    BadPicture: no picture, or more than `max_pixels`.
    """
    with _opened(file, max_pixels) as image:
        width, height = image.size
        return (width, height) if _orientation(image) >= 5 else (height, width)


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself before it is decoded; height and width as the picture is looked at."""

    format: str
    height: int
    width: int
    animated: bool


def read_header(file: Opener, *, max_pixels: int) -> Header:
    """As `read_size`, with the format and whether there is more than one frame."""
    with _opened(file, max_pixels) as image:
        width, height = image.size
        if _orientation(image) >= 5:
            width, height = height, width
        return Header(str(image.format), height, width, bool(getattr(image, "is_animated", False)))


def decode(file: Opener, *, max_pixels: int, least: int | None = None) -> Image.Image:
    """The picture upright, in sRGB, mode RGB, transparency laid on white. BadPicture: cannot be decoded.

    With `least`, a JPEG whose sides stay at least so long is scaled while it is decoded, which costs a fraction.
    """
    with _opened(file, max_pixels) as image:
        upright = UPRIGHT.get(_orientation(image))
        if least is not None:
            image.draft(None, (least, least))
        image.load()
        rgb = _to_srgb(image)
        return rgb if upright is None else rgb.transpose(upright)


def fit(image: Image.Image, bucket: Bucket) -> "Tensor":
    """Scale the picture to cover the bucket and cut out the centre: float32 (3,h,w) in [-1,1]."""
    height, width = bucket
    import torch

    (scaled_height, scaled_width), top, left = _cover(image.height, image.width, bucket)
    across, down = image.width / scaled_width, image.height / scaled_height
    # Only what stays is scaled: all of a banner of 50,000 x 100 pixels would be 26 times as large as the banner.
    box = (left * across, top * down, (left + width) * across, (top + height) * down)
    pixels = np.array(image.resize((width, height), Image.Resampling.LANCZOS, box=box))
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous().float() / 127.5 - 1


def micro_conditioning(height: int, width: int, bucket: Bucket) -> "Tensor":
    """What SDXL and aMUSEd are told of a picture that `fit` made: int64 (6,).

    Original height, original width, crop top, crop left (in pixels of the scaled picture), height, width.
    """
    import torch

    _, top, left = _cover(height, width, bucket)
    return torch.tensor([height, width, top, left, *bucket])


def _cover(height: int, width: int, bucket: Bucket) -> tuple[tuple[int, int], int, int]:
    """The least scaled (height, width) that covers the bucket, and top and left of the centre."""
    scale = max(bucket[0] / height, bucket[1] / width)
    scaled = max(bucket[0], round(height * scale)), max(bucket[1], round(width * scale))
    return scaled, (scaled[0] - bucket[0]) // 2, (scaled[1] - bucket[1]) // 2


@contextmanager
def _opened(file: Opener, max_pixels: int) -> Iterator[Image.Image]:
    """Pillow's own guard, set to our limit and made an error: by itself it only warns up to twice the limit."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, max_pixels
    try:
        with warnings.catch_warnings(), file() as stream:
            warnings.simplefilter("ignore")  # Pillow's remarks on odd EXIF and palettes
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(stream, formats=FORMATS) as image:
                yield image
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise BadPicture(f"more than {max_pixels:,} pixels (data.max_pixels)") from None
    except UnidentifiedImageError:
        raise BadPicture(f"not a picture, or none of {', '.join(FORMATS)}") from None
    except BadPicture:
        raise
    except Exception as error:  # broken files raise OSError, ValueError, SyntaxError, struct.error, ... by format
        raise BadPicture(f"cannot be read ({error})") from None
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1-8 that is still to be undone: Pillow itself turns TIFFs, and only them."""
    if image.format == "TIFF":
        return 1
    exif = Image.Image.getexif(image)  # the base class's: that of PNG decodes the whole picture to look for more
    return int(exif.get(ORIENTATION, 1))


def _to_srgb(image: Image.Image) -> Image.Image:
    colour, alpha = _eight_bit(image)
    profile = image.info.get("icc_profile")
    rgb = _apply_profile(colour, profile) if profile else _in(colour, "RGB")
    if alpha is None:
        return rgb
    white = Image.new("RGB", rgb.size, "white")
    white.paste(rgb, mask=alpha)
    return white


def _eight_bit(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Any mode -> colour in L, RGB or CMYK with 8 bits a channel, and the transparency apart."""
    if image.mode.startswith("I"):  # 16-bit grey, which Pillow's own conversion clips instead of scaling
        grey = np.asarray(image).astype(np.float32)  # copied once, and changed in place
        np.clip(np.rint(np.divide(grey, 257, out=grey), out=grey), 0, 255, out=grey)
        return Image.fromarray(grey.astype(np.uint8)), None
    if image.mode == "F":
        raise BadPicture("floating-point pixels, whose range is not known")
    if image.has_transparency_data:
        rgba = _in(image, "RGBA")
        return rgba.convert("RGB"), rgba.getchannel("A")
    return (image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")), None


def _in(image: Image.Image, mode: str) -> Image.Image:
    return image if image.mode == mode else image.convert(mode)  # Pillow's own copies what is in the mode already


def _apply_profile(colour: Image.Image, profile: bytes) -> Image.Image:
    try:
        embedded = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(colour, embedded, _srgb(), outputMode="RGB")
    except (
        OSError,
        ImageCms.PyCMSError,
    ):  # a broken profile, or one of another colour space: as untagged, like browsers
        return colour.convert("RGB")
    assert converted is not None  # None is returned only for conversion in place
    return converted


@functools.cache
def _srgb() -> Any:
    return ImageCms.createProfile("sRGB")
