"""A picture file -> upright sRGB pixels: the one reader of everything that is trained on, judged or compared.

`read_size` looks at the header alone; `decode` makes the pixels. What is wrong with a file is a BadPicture.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from emu.data.pillow import allowing
from emu.data.srgb import to_srgb, unreadable

Opener = Callable[[], io.BufferedReader | io.BytesIO]  # picklable, so that worker processes can read

# The parsers that a file may reach, of Pillow's more than forty; none of them starts another program.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "PPM")

HEIF = ("heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1")  # brands of what phones write; extra heic
ANIMATIONS = ("GIF", "PNG", "WEBP", "AVIF")  # the pages of a TIFF and the preview in a camera's JPEG are no frames

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
        animated = image.format in ANIMATIONS and bool(getattr(image, "is_animated", False))
        # MPO: a JPEG with a preview, a depth map or a second view behind it.
        return Header("JPEG" if image.format == "MPO" else str(image.format), height, width, animated)


def decode(file: Opener, *, max_pixels: int, least: int | None = None) -> Image.Image:
    """The picture upright, in sRGB, mode RGB, transparency laid on white. BadPicture: cannot be decoded.

    With `least`, a JPEG whose sides stay at least so long is scaled while it is decoded, which costs a fraction.
    """
    return decode_sized(file, max_pixels=max_pixels, least=least)[0]


def decode_sized(file: Opener, *, max_pixels: int, least: int | None = None) -> tuple[Image.Image, tuple[int, int]]:
    """As `decode`, with what `read_size` says, by opening the file once."""
    with _opened(file, max_pixels) as image:
        orientation, (width, height) = _orientation(image), image.size
        if least is not None:
            image.draft(None, (least, least))
        image.load()
        rgb, upright = to_srgb(image), UPRIGHT.get(orientation)
        size = (width, height) if orientation >= 5 else (height, width)
        return (rgb if upright is None else rgb.transpose(upright)), size


@contextmanager
def _opened(file: Opener, max_pixels: int) -> Iterator[Image.Image]:
    """A picture whose header was read. BadPicture: as in `read_size`, or it would come out wrong."""
    too_large = f"more than {max_pixels:,} pixels (data.max_pixels)"
    try:
        with allowing(max_pixels), file() as stream, Image.open(stream, formats=(*FORMATS, *_heif(stream))) as image:
            if image.width * image.height > max_pixels:
                raise BadPicture(too_large)
            if why := unreadable(image):
                raise BadPicture(why)
            yield image
    except Image.DecompressionBombError:
        raise BadPicture(too_large) from None
    except UnidentifiedImageError:
        raise BadPicture(f"not a picture, or none of {', '.join(FORMATS)}") from None
    except BadPicture:
        raise
    except Exception as error:  # broken files raise OSError, ValueError, SyntaxError, struct.error, ... by format
        raise BadPicture(f"cannot be read ({error})") from None


def _heif(stream: io.BufferedReader | io.BytesIO) -> tuple[str, ...]:
    """What to open a phone's picture with. BadPicture: that is not installed."""
    head = stream.read(12)
    stream.seek(0)
    if head[4:8] != b"ftyp" or head[8:].decode("latin-1") not in HEIF:
        return ()
    try:
        import pillow_heif
    except ImportError:
        raise BadPicture("HEIC; pip install 'emu-quality-tuning[heic]' to read it") from None
    pillow_heif.register_heif_opener()
    return ("HEIF",)


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1-8 that is still to be undone: Pillow itself turns TIFFs, libheif HEIC."""
    if image.format in ("TIFF", "HEIF"):
        return 1
    exif = Image.Image.getexif(image)  # the base class's: that of PNG decodes the whole picture to look for more
    return int(exif.get(ORIENTATION, 1))
