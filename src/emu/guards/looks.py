"""How a picture looks, in few numbers: its colours, and where they lie. Needs no weights.

`layout` sees little: it tells apart pictures whose light and dark areas differ, and knows nothing of what they show.
Two pictures of one composition in other colours are far apart to it, and a mirrored copy is another picture.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from emu.guards.evidence import Numbers

COLOURS = ("brightness", "contrast", "saturation")
LUMA = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)  # ITU-R BT.709, on the stored values
SIDE = 16
LAYOUT = f"layout: the picture at {SIDE} x {SIDE} pixels"


def colours(pixels: NDArray[np.uint8]) -> Numbers:
    """uint8 (h,w,3) -> mean luma, its deviation, mean of largest minus smallest channel: float32 (3,), 0 to 1."""
    scaled = pixels.astype(np.float32) / 255
    luma = scaled @ LUMA
    chroma = scaled.max(-1) - scaled.min(-1)
    return np.array([luma.mean(), luma.std(), chroma.mean()], dtype=np.float32)


def layout(picture: Image.Image) -> Numbers:
    """An RGB picture -> float32 (768,); the distance of two is the root mean square difference of pixels, 0 to 1."""
    small = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float32) / 255
    return np.asarray(small.ravel() / np.sqrt(small.size), dtype=np.float32)


def distances(first: NDArray[np.floating], second: NDArray[np.floating]) -> Numbers:
    """Euclidean distances of all pairs: (n,d), (m,d) -> float32 (n,m)."""
    first, second = first.astype(np.float64), second.astype(np.float64)  # in float32 a copy would be 0.0005 away
    squares = (first**2).sum(1)[:, None] + (second**2).sum(1)[None] - 2 * first @ second.T
    return np.asarray(np.sqrt(np.maximum(squares, 0)), dtype=np.float32)
