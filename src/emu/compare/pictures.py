"""Pictures on their way into the page: read, made light, and written as text."""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from emu.data.pictures import BadPicture, decode
from emu.data.sources.openers import File
from emu.errors import UserError
from emu.offline import data_url, webp

LONGEST_SIDE = 320
SMALLER = (256, 192, 128, 96)  # where a page has too many pictures for that
BUDGET = 13_000_000  # characters of all pictures: a page stays below 15 MB
SAMPLED = 16
MAX_PIXELS = 200_000_000


def open_picture(path: Path) -> Image.Image:
    """A picture as training reads it: upright, in sRGB, mode RGB. UserError where the file is absent or no picture."""
    try:
        return decode(File(path), max_pixels=MAX_PIXELS)
    except BadPicture as reason:
        raise UserError(f"{path}: absent or not a picture; draw the step again") from reason


def embed(path: Path, longest: int = LONGEST_SIDE) -> tuple[str, tuple[int, int]]:
    """The picture as a WebP `data:` URL, with its (width, height); one longer than `longest` px is scaled down."""
    return embed_image(open_picture(path), longest)


def embed_image(picture: Image.Image, longest: int = LONGEST_SIDE) -> tuple[str, tuple[int, int]]:
    """As `embed`, of an RGB picture in memory, which is left as it is."""
    small = webp(picture, longest)
    with Image.open(io.BytesIO(small)) as opened:
        return data_url(small), opened.size


def longest_side(paths: Sequence[Path], *, budget: int = BUDGET) -> int:
    """The longest side in pixels at which all of the pictures fit into `budget`, by the weight of a sample of them."""
    sample = paths[:: max(1, len(paths) // SAMPLED)]
    for side in (LONGEST_SIDE, *SMALLER):
        if len(paths) * sum(len(embed(path, side)[0]) for path in sample) <= budget * len(sample):
            return side
    return SMALLER[-1]
