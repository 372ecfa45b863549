"""Borders: frames, letter boxes and scanner edges of one colour around a picture; measured, or cut off."""

import numpy as np
from numpy.typing import NDArray

from emu.curate.picture import Picture
from emu.curate.stage import Row, Stage

SAME = 10  # 8-bit levels from the border's own colour, as compression moves it
LEAST = 0.98  # of a line has that colour
SEAM = 2  # lines more are cut off: scaling and compression mix the border with the picture
MIXED = 8  # lines of a JPEG's block, which has colours of both; fewer where the picture is small


class Borders(Stage):
    """The share of the area that uniform lines at the four edges take.

    Args:
        cut: cut them off: later stages see the picture without, and it is written so. Where the limit is passed the
            picture leaves all the same.
    """

    name = "borders"
    side = 0

    def __init__(self, cut: bool = False) -> None:
        self.cut = cut
        self.columns = {"border": "float64", "crop": "string"}

    def measure(self, picture: Picture) -> Row:
        pixels = np.asarray(picture.image)
        height, width = pixels.shape[:2]
        left, top, right, bottom = inside(pixels)
        share = 1 - (right - left) * (bottom - top) / (height * width)
        if not (self.cut and share > 0 and min(right - left, bottom - top) > 4 * SEAM):
            return {"border": share, "crop": None}
        more = [SEAM * (place > 0) for place in (left, top, width - right, height - bottom)]
        box = left + more[0], top + more[1], right - more[2], bottom - more[3]
        picture.crop(box)
        return {"border": share, "crop": ",".join(map(str, box))}


def inside(pixels: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of what is no border; a picture of one colour has none."""
    top, bottom = _edges(pixels)
    left, right = _edges(pixels[top:bottom].swapaxes(0, 1))
    return left, top, right, bottom


def _edges(pixels: NDArray[np.uint8]) -> tuple[int, int]:
    """The first line that is no border and the one after the last."""
    start, end = _run(pixels), _run(pixels[::-1])
    if start == len(pixels):
        return 0, len(pixels)
    start, end = start or _like(pixels, pixels[::-1], end), end or _like(pixels[::-1], pixels, start)
    return (start, len(pixels) - end) if start + end < len(pixels) else (0, len(pixels))  # two even halves


def _like(pixels: NDArray[np.uint8], opposite: NDArray[np.uint8], width: int) -> int:
    """As many lines as the border on the opposite side has, where so many have its colour: a frame goes all around,
    also where the picture begins in its colour and it ends little by little."""
    colour = np.median(opposite[0], axis=0)
    same = (np.abs(pixels[: max(width - MIXED, 0)] - colour).max(axis=-1) <= SAME).mean(axis=1) >= LEAST
    return width if len(same) and bool(same.all()) else 0


def _run(pixels: NDArray[np.uint8]) -> int:
    """How many lines at the start have the colour of the very first one and end abruptly, those that compression has
    mixed with the picture included.

    An even sky ends here and there, or little by little; a border ends at once over half of the line and more.
    """
    colour = np.median(pixels[0], axis=0)
    mixed = max(2, min(MIXED, len(pixels) // 64))
    for number, line in enumerate(pixels):
        if (np.abs(line - colour).max(axis=-1) <= SAME).mean() < LEAST:
            beyond = np.abs(pixels[number : number + mixed] - colour).max(axis=-1)
            begins = np.flatnonzero((beyond > 2 * SAME).mean(axis=1) > 0.5)
            return number + int(begins[0]) if number and len(begins) else 0
    return len(pixels)
