"""Thumbnails: made once, at latest when one is first asked for, and kept in the folder.

Pictures are decoded as training decodes them: upright, in sRGB, what is transparent on white. A JPEG is decoded at the
smallest of its scales that is large enough, which takes a quarter of the time and less.
"""

import io
from pathlib import Path

from PIL import Image

from emu.data.pictures import BadPicture, decode
from emu.desk.review.pictures import Candidate
from emu.errors import UserError
from emu.layouts.curated_folder import REVIEWING
from emu.offline import webp
from emu.storage import files

SIDE = 360  # pixels of the longer side: sharp on a dense screen
MAX_PIXELS = 200_000_000
BROWSERS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}  # formats that a browser shows as they are


def thumbnail(folder: Path, picture: Candidate) -> bytes:
    """A WebP of the picture. UserError where its file is gone or no picture."""
    place = folder / REVIEWING / "thumbnails" / picture.key[:2] / f"{picture.key}.webp"
    try:
        return place.read_bytes()
    except FileNotFoundError:
        small = webp(decoded(folder, picture, least=SIDE), SIDE)
        files.write(place, small)
        return small


def whole(folder: Path, picture: Candidate) -> tuple[bytes, str]:
    """The picture's file and its media type; one that browsers do not show comes as a PNG."""
    try:
        content = (folder / picture.file).read_bytes()
        with Image.open(io.BytesIO(content), formats=[*BROWSERS]) as opened:
            return content, BROWSERS[str(opened.format)]
    except (OSError, ValueError, Image.DecompressionBombError):  # gone, or another format
        buffer = io.BytesIO()
        decoded(folder, picture).save(buffer, "PNG", compress_level=1)
        return buffer.getvalue(), "image/png"


def decoded(folder: Path, picture: Candidate, *, least: int | None = None) -> Image.Image:
    """Upright, RGB; see `emu.data.pictures.decode`. UserError where the file is gone or no picture."""
    path = folder / picture.file
    try:
        return decode(lambda: path.open("rb"), max_pixels=MAX_PIXELS, least=least)
    except (BadPicture, OSError) as error:
        raise UserError(f"{path}: gone, or no picture ({error})") from error
