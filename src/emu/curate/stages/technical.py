"""Technical quality from the pixels alone: blur, noise, compression, exposure, contrast, colour."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from emu.curate.picture import Picture
from emu.curate.stage import Row, Stage

MOST = 1024  # pixels of a side that are looked at, in the middle: enough to tell, and the cost is bounded
BLOCK = 8  # pixels of a JPEG's block

Kind = TypeVar("Kind", bound=np.generic)
Plane = NDArray[np.float32]  # (h,w) in [0,1]


class Technical(Stage):
    """Six measures of the middle of a picture, at its own resolution: scaled down, blur and noise would be gone.

    blur: 0 sharp to 1; noise: standard deviation in 8-bit levels; blocks: steps between the blocks of a JPEG against
    steps inside of them, 1 where there are none; dark, bright: shares of pixels at either end; contrast: standard
    deviation of luma; colour: Hasler and Suesstrunk's colourfulness, about 0 to 100.
    """

    name = "technical"
    side = 0
    columns = dict.fromkeys(("blur", "noise", "blocks", "dark", "bright", "contrast", "colour"), "float64")

    def measure(self, picture: Picture) -> Row:
        luma = _middle(picture.luma)
        return {
            "blur": blur(luma),
            "noise": noise(luma),
            "blocks": blocks(luma),
            "dark": float((luma < 0.02).mean()),
            "bright": float((luma > 0.98).mean()),
            "contrast": float(luma.std()),
            "colour": colour(_middle(np.asarray(picture.image))),
        }


def blur(luma: Plane) -> float:
    """The blur effect of Crete et al. 2007 (doi 10.1117/12.702790): how little a further blur changes; 0 to 1.

    Sides below 3 pixels have no neighbours to tell by: 1.
    """
    if min(luma.shape) < 3:
        return 1.0
    worst = 0.0
    for plane in (luma, luma.T):
        steps = np.abs(np.diff(plane, axis=0))
        smooth = np.abs(np.diff(_smooth(plane), axis=0))
        total = float(steps.sum())
        lost = float(np.maximum(steps - smooth, 0).sum())
        worst = max(worst, (total - lost) / total if total > 0 else 1.0)
    return worst


def _smooth(plane: Plane, *, reach: int = 4) -> Plane:
    """The mean over `reach` pixels before and after along the first axis, as the paper's filter of 9."""
    padded = np.pad(plane, ((reach + 1, reach), (0, 0)), mode="edge")
    sums = padded.cumsum(axis=0, dtype=np.float32)
    smoothed: Plane = (sums[2 * reach + 1 :] - sums[: -2 * reach - 1]) / np.float32(2 * reach + 1)
    return smoothed


def noise(luma: Plane) -> float:
    """Standard deviation of the noise in 8-bit levels, Immerkaer 1996 (doi 10.1006/cviu.1996.0060)."""
    if min(luma.shape) < 3:
        return 0.0
    across = luma[:, :-2] - 2 * luma[:, 1:-1] + luma[:, 2:]
    both = across[:-2] - 2 * across[1:-1] + across[2:]
    return float(np.sqrt(np.pi / 2) / 6 * np.abs(both).mean() * 255)


def blocks(luma: Plane) -> float:
    """Mean step over the borders of 8 x 8 blocks, to the mean step elsewhere; 1 where the grid is not seen."""
    ratios = []
    for plane in (luma, luma.T):
        steps = np.abs(np.diff(plane, axis=0)).mean(axis=1)
        border = np.arange(1, len(steps) + 1) % BLOCK == 0
        if border.any() and not border.all():
            ratios.append((float(steps[border].mean()) + 1e-4) / (float(steps[~border].mean()) + 1e-4))
    return min(ratios, default=1.0)


def colour(pixels: NDArray[np.uint8]) -> float:
    """Colourfulness M of Hasler and Suesstrunk 2003 (doi 10.1117/12.477378), of sRGB."""
    red, green, blue = (pixels[..., i].astype(np.float32) for i in range(3))
    first, second = red - green, (red + green) / 2 - blue
    spread = np.hypot(float(first.std()), float(second.std()))
    return float(spread + 0.3 * np.hypot(float(first.mean()), float(second.mean())))


def _middle(pixels: NDArray[Kind]) -> NDArray[Kind]:
    """At most MOST pixels of each side, from the middle, cut between blocks."""
    top, left = (max(0, (length - MOST) // 2) // BLOCK * BLOCK for length in pixels.shape[:2])
    return pixels[top : top + MOST, left : left + MOST]
