"""Pictures on their way into the page: read, made light, and written as text."""

import base64
import io
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from emu.errors import UserError

LONGEST_SIDE = 320
QUALITY = 82


def open_picture(path: Path) -> Image.Image:
    """An RGB picture of a run folder; UserError where the file is absent or no picture."""
    try:
        with Image.open(path) as picture:
            return picture.convert("RGB")
    except (FileNotFoundError, UnidentifiedImageError) as error:
        raise UserError(f"{path}: absent or not a picture; draw the step again") from error


def embed(path: Path) -> tuple[str, tuple[int, int]]:
    """The picture as a WebP `data:` URL, with its (width, height); one longer than 320 px is scaled down."""
    picture = open_picture(path)
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, format="WEBP", quality=QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode(), picture.size
