"""Technical quality from the pixels alone: blur, noise, compression, exposure, contrast, colour."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from emu.curate.picture import LUMA, Picture
from emu.curate.stage import Row, Stage
from emu.curate.stages.compression import blocks
from emu.curate.stages.sharpness import blur

WINDOW = 192  # pixels: noise and blocks are looked for in nine windows, at the picture's own resolution
EDGES = 512  # pixels of the short side, or up to twice as many, at which blur is measured: what is seen, not stored
WHOLE = 256  # the same for light and colour
TILE = 16  # pixels: noise is measured in tiles that are calm
CALMEST = 0.1  # of the tiles: grass and fur fill a picture with what looks like noise, and seldom all of it
DEEP, FULL = 16, 239  # 8-bit levels between which noise is not cut off

Levels = NDArray[np.uint8]  # (...,h,w)
Plane = NDArray[np.float32]  # (h,w)


class Technical(Stage):
    """Seven measures that mean the same at any size of a picture.

    blur: the width of the sharper edges in per cent of the short side, seen at about 512 pixels; what lies out of focus
    on purpose does not count. noise: standard deviation in 8-bit levels where the picture is calm. blocks: by how many
    levels a grid of 8 x 8 pixels stands out, wherever the grid lies. dark: share of black pixels. clipped: share of
    values, in the lower two thirds, that are as bright as can be, weighed by how bright the whole is. contrast:
    standard deviation of luma. colour: Hasler and Suesstrunk's colourfulness, about 0 to 100, 0 for black and white.
    """

    name = "technical"
    side = 0
    columns = dict.fromkeys(("blur", "noise", "blocks", "dark", "clipped", "contrast", "colour"), "float64")

    def measure(self, picture: Picture) -> Row:
        planes, seen = planar(picture.small(WHOLE)), picture.small(EDGES)
        luma, edges = luma_of(planes), grey(seen)
        boxes = windows(picture.image.size)
        if seen is picture.image:
            near = [edges[top:bottom, left:right] for left, top, right, bottom in boxes]
        else:
            near = [grey(picture.image.crop(box)) for box in boxes]
        return {
            "blur": blur(edges),
            "noise": noise(near),
            "blocks": blocks(near),
            "dark": np.count_nonzero(luma < 0.02) / luma.size,
            "clipped": clipped(planes, luma),
            "contrast": moments(luma)[1],
            "colour": colour(planes),
        }


def planar(image: Image.Image) -> Levels:
    """(3,h,w), each plane in one piece of memory."""
    return np.stack([np.asarray(channel) for channel in image.split()])


def grey(image: Image.Image) -> Levels:
    """(h,w)."""
    return np.asarray(image.convert("L"))


def luma_of(planes: Levels) -> Plane:
    """(3,h,w) -> (h,w) in [0,1]. Plane by plane: a product of matrices takes five times as long."""
    red, green, blue = LUMA / np.float32(255)
    luma: Plane = planes[0] * red
    luma += planes[1] * green
    luma += planes[2] * blue
    return luma


def moments(plane: Plane) -> tuple[float, float]:
    """Mean and standard deviation."""
    mean = plane.mean()
    apart = (plane - mean).ravel()
    return float(mean), float(np.sqrt(apart @ apart / np.float32(len(apart))))


def noise(near: list[Levels]) -> float:
    """Standard deviation of the noise in 8-bit levels, Immerkaer 1996 (doi 10.1006/cviu.1996.0060), in the calmest
    tiles that are neither black nor white: there noise would be cut off."""
    found = []
    for luma in near:
        height, width = ((length - 2) // TILE * TILE for length in luma.shape)
        if min(height, width) < TILE:
            continue
        both = np.abs(bends(bends(luma.astype(np.int16)).T).T).view(np.uint16)
        light = tiles(luma[1:], height, width)
        found.append(tiles(both, height, width)[(light > DEEP) & (light < FULL)])
    values = np.concatenate(found) if found else np.zeros(0)
    return float(np.sqrt(np.pi / 2) / 6 * np.quantile(values, CALMEST)) if len(values) else 0.0


def bends(lines: NDArray[np.int16]) -> NDArray[np.int16]:
    """Second differences along the first axis; of levels, and of these again, they are at most 4,080."""
    bent: NDArray[np.int16] = lines[:-2] + lines[2:]
    bent -= lines[1:-1]
    bent -= lines[1:-1]
    return bent


def tiles(plane: NDArray[np.unsignedinteger[Any]], height: int, width: int) -> Plane:
    """The means of tiles that cover (height, width), of numbers up to 4,095: a tile's column of them is 16 bits."""
    columns = plane[:height, :width].reshape(height // TILE, TILE, width).sum(1, dtype=np.uint16)
    means: Plane = columns.reshape(height // TILE, width // TILE, TILE).sum(2, dtype=np.uint32) / np.float32(TILE**2)
    return means


def clipped(planes: Levels, luma: Plane) -> float:
    """Share of values, three a pixel, that are at their end below the upper third, where a white sky may be; times the
    square of how bright the whole is (1 for middle grey): lamps at night are as bright as can be, and nothing is wrong.

    Values and not pixels: of a yellow flower one or two are at their end, and its petals are still seen.
    """
    below = planes[:, planes.shape[1] // 3 :]
    return np.count_nonzero(below >= 250) / below.size * (float(luma.mean()) / 0.5) ** 2


def colour(planes: Levels) -> float:
    """Colourfulness M of Hasler and Suesstrunk 2003 (doi 10.1117/12.477378), of sRGB (3,h,w)."""
    red, green, blue = planes
    yellow = np.add(red, green, dtype=np.float32)
    yellow /= np.float32(2)
    yellow -= blue
    means, spreads = zip(moments(np.subtract(red, green, dtype=np.float32)), moments(yellow), strict=True)
    return float(np.hypot(*spreads) + 0.3 * np.hypot(*means))


def windows(size: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    """Nine windows spread over a picture of (width, height), as (left, top, right, bottom), each a whole number of
    pixels of a JPEG's grid from the corner; all of a picture that is hardly larger."""
    if min(size) < 3 * WINDOW:
        return [(0, 0, min(size[0], 6 * WINDOW), min(size[1], 6 * WINDOW))]
    lefts, tops = ([(length * place // 6 - WINDOW // 2) // 8 * 8 for place in (1, 3, 5)] for length in size)
    return [(left, top, left + WINDOW, top + WINDOW) for left in lefts for top in tops]
