"""How wide the sharper edges of a picture are: blur, as against what was meant to be soft."""

import numpy as np
from numpy.typing import NDArray

STEP = 16  # 8-bit levels over two pixels: fainter steps are noise and texture as often as edges
EVERY = 2  # rows and columns are looked at
SHARPER = 0.7  # of the edges are wider: the subject may be a small part of the picture
FEWEST = 16  # edges, from which a width can be measured
WIDEST = 9.0  # pixels: what is reported of a picture with no edge

Levels = NDArray[np.uint8]  # (h,w)


def blur(luma: Levels) -> float:
    """The width of the sharper edges in per cent of the short side."""
    return 100 * edge_width(luma) / float(min(luma.shape))


def edge_width(luma: Levels) -> float:
    """The standard deviation, in pixels, of the Gaussian that the sharper edges look blurred by.

    Blurred again by a Gaussian of deviation 1, the slope of an edge of width s falls by a factor of
    r = sqrt(s^2 + 1) / s (Zhuo and Sim 2011, doi 10.1016/j.patcog.2011.03.009), so s = 1 / sqrt(r^2 - 1). A smoothed
    slope is a smoothed difference: no blurred picture is needed.
    """
    ratios = np.concatenate([_ratios(luma[:, ::EVERY]), _ratios(luma[::EVERY].T)])
    if len(ratios) < FEWEST:
        return WIDEST
    ratio = float(np.quantile(ratios, SHARPER))
    return float(max(ratio**2 - 1, 1 / WIDEST**2) ** -0.5)


def _ratios(lines: Levels) -> NDArray[np.float32]:
    """At every edge along the first axis: its slope to its slope once blurred by [1, 4, 6, 4, 1] / 16, of deviation 1.

    In whole numbers of 16 bits, which hold all that comes up, in one piece of memory.
    """
    whole = np.ascontiguousarray(lines, dtype=np.int16)
    slopes = whole[2:] - whole[:-2]
    steep = np.abs(slopes)
    here = steep[2:-2]
    at = np.flatnonzero((here > STEP) & (here >= steep[1:-3]) & (here >= steep[3:-1]))
    first, second, third, fourth, fifth = (slopes.ravel()[at + shift * slopes.shape[1]] for shift in range(5))
    smoothed = np.abs(first + fifth + 4 * (second + fourth) + 6 * third) / np.float32(16)
    ratios: NDArray[np.float32] = np.abs(third) / np.maximum(smoothed, np.float32(1e-3))
    return ratios
