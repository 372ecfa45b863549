"""Thumbnails: made once, at latest when one is first asked for, and kept in the folder.

A JPEG is decoded at the smallest of its scales that is large enough, which takes a quarter of the time and less. What
is transparent lies on white, here and on the page, since that is what training makes of it.
"""

import io
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from emu.desk.review.pictures import HIDDEN, Shown
from emu.errors import UserError
from emu.runs import write_atomically

SIDE = 360  # pixels of the longer side: sharp on a dense screen
BROWSERS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}  # formats that a browser shows as they are


def thumbnail(folder: Path, picture: Shown) -> bytes:
    """A WebP of the picture. UserError where its file is gone or no picture."""
    place = folder / HIDDEN / "thumbnails" / picture.key[:2] / f"{picture.key}.webp"
    try:
        return place.read_bytes()
    except FileNotFoundError:
        content = _made(folder, picture)
        write_atomically(place, content)
        return content


def _made(folder: Path, picture: Shown) -> bytes:
    try:
        with Image.open(folder / picture.file) as opened:
            opened.draft("RGB", (SIDE, SIDE))
            small = _on_white(opened)
    except (OSError, UnidentifiedImageError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{folder / picture.file}: gone, or no picture ({error})") from error
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=82, method=2)
    return buffer.getvalue()


def whole(folder: Path, picture: Shown) -> tuple[bytes, str]:
    """The picture's file and its media type; one that browsers do not show comes as a PNG."""
    try:
        content = (folder / picture.file).read_bytes()
        with Image.open(io.BytesIO(content)) as opened:
            if opened.format in BROWSERS:
                return content, BROWSERS[opened.format]
            buffer = io.BytesIO()
            _on_white(opened).save(buffer, "PNG", compress_level=1)
            return buffer.getvalue(), "image/png"
    except (OSError, UnidentifiedImageError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{folder / picture.file}: gone, or no picture ({error})") from error


def _on_white(opened: Image.Image) -> Image.Image:
    """RGB, upright."""
    upright = ImageOps.exif_transpose(opened)
    if not upright.has_transparency_data:
        return upright.convert("RGB")
    clear = upright.convert("RGBA")
    white = Image.new("RGB", clear.size, (255, 255, 255))
    white.paste(clear, mask=clear.getchannel("A"))
    return white
