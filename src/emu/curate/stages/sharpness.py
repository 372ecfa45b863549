"""How wide the sharper edges of a picture are: blur, as against what was meant to be soft."""

import numpy as np
from numpy.typing import NDArray

STEP = 16  # 8-bit levels over two pixels: fainter steps are noise and texture as often as edges
EVERY = 2  # rows and columns are looked at
SHARPER = 0.7  # of the edges are wider: the subject may be a small part of the picture
FEWEST = 16  # edges, from which a width can be measured
WIDEST = 9.0  # pixels: what is reported of a picture with no edge

Plane = NDArray[np.float32]  # (h,w) in 8-bit levels


def blur(luma: Plane) -> float:
    """The width of the sharper edges in per cent of the short side."""
    return 100 * edge_width(luma) / float(min(luma.shape))


def edge_width(luma: Plane) -> float:
    """The standard deviation, in pixels, of the Gaussian that the sharper edges look blurred by.

    Blurred again by a Gaussian of deviation 1, the slope of an edge of width s falls by a factor of
    r = sqrt(s^2 + 1) / s (Zhuo and Sim 2011, doi 10.1016/j.patcog.2011.03.009), so s = 1 / sqrt(r^2 - 1). A smoothed
    slope is a smoothed difference: no blurred picture is needed.
    """
    ratios = np.concatenate([_ratios(luma[::EVERY]), _ratios(luma.T[::EVERY])])
    if len(ratios) < FEWEST:
        return WIDEST
    ratio = float(np.quantile(ratios, SHARPER))
    return float(max(ratio**2 - 1, 1 / WIDEST**2) ** -0.5)


def _ratios(lines: Plane) -> Plane:
    """At every edge along the lines: its slope to its slope once blurred by [1, 4, 6, 4, 1] / 16, of deviation 1."""
    slopes = lines[:, 2:] - lines[:, :-2]
    steep = np.abs(slopes)
    here = steep[:, 2:-2]
    edges = (here > STEP) & (here >= steep[:, 1:-3]) & (here >= steep[:, 3:-1])
    row, at = np.nonzero(edges)
    first, second, third, fourth, fifth = (slopes[row, at + shift] for shift in range(5))
    smoothed = np.abs(first + fifth + 4 * (second + fourth) + 6 * third) / 16
    ratios: Plane = here[edges] / np.maximum(smoothed, 1e-3)
    return ratios
