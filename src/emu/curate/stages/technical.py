"""Technical quality from the pixels alone: blur, noise, compression, exposure, contrast, colour."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from emu.curate.picture import LUMA, Picture
from emu.curate.stage import Row, Stage

WINDOW = 192  # pixels: noise and blocks are looked for in four windows, at the picture's own resolution
WHOLE = 256  # pixels of the short side, or up to twice as many, at which the rest is measured
BLOCK = 8  # pixels of a JPEG's block

Plane = NDArray[np.float32]  # (h,w) in [0,1]


class Technical(Stage):
    """Seven measures. noise and blocks look at the picture's own pixels: scaled down, they would be gone.

    blur: 0 sharp to 1; noise: standard deviation in 8-bit levels; blocks: steps between the blocks of a JPEG against
    steps inside of them, at most about 1 where none are seen; dark, bright: shares of pixels at either end; contrast:
    standard deviation of luma; colour: Hasler and Suesstrunk's colourfulness, about 0 to 100.
    """

    name = "technical"
    side = 0
    columns = dict.fromkeys(("blur", "noise", "blocks", "dark", "bright", "contrast", "colour"), "float64")

    def measure(self, picture: Picture) -> Row:
        pixels = np.asarray(picture.small(WHOLE)).astype(np.float32)
        luma = pixels @ LUMA / np.float32(255)
        near = [np.asarray(window).astype(np.float32) @ LUMA / np.float32(255) for window in windows(picture.image)]
        return {
            "blur": blur(luma),
            "noise": float(np.median([noise(one) for one in near])),
            "blocks": min(blocks(one) for one in near),  # a JPEG's grid is everywhere, a pattern is not
            "dark": float((luma < 0.02).mean()),
            "bright": float((luma > 0.98).mean()),
            "contrast": float(luma.std()),
            "colour": colour(pixels),
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
    """The mean step over the borders of 8 x 8 blocks, to that at the strongest of the seven places between.

    1 or less where the grid is not seen; patterns of period 2 or 4 do not look like blocks.
    """
    ratios = []
    for plane in (luma, luma.T):
        steps = np.abs(np.diff(plane, axis=0)).mean(axis=1)
        if len(steps) >= BLOCK:
            *between, border = (float(steps[start::BLOCK].mean()) + 1e-4 for start in range(BLOCK))
            ratios.append(border / max(between))
    return min(ratios, default=1.0)


def colour(pixels: NDArray[np.float32]) -> float:
    """Colourfulness M of Hasler and Suesstrunk 2003 (doi 10.1117/12.477378), of sRGB (h,w,3) in [0,255]."""
    red, green, blue = np.moveaxis(pixels, -1, 0)
    first, second = red - green, (red + green) / 2 - blue
    spread = np.hypot(float(first.std()), float(second.std()))
    return float(spread + 0.3 * np.hypot(float(first.mean()), float(second.mean())))


def windows(image: Image.Image) -> list[Image.Image]:
    """Four windows where the thirds cross, cut between blocks; all of a picture that is hardly larger than one."""
    if min(image.size) < 2 * WINDOW:
        return [image.crop((0, 0, min(image.width, 2 * WINDOW), min(image.height, 2 * WINDOW)))]
    corners = [[(length * third // 3 - WINDOW // 2) // BLOCK * BLOCK for third in (1, 2)] for length in image.size]
    return [image.crop((left, top, left + WINDOW, top + WINDOW)) for left in corners[0] for top in corners[1]]
