"""Technical quality from the pixels alone: blur, noise, compression, exposure, contrast, colour."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from emu.curate.picture import LUMA, Picture
from emu.curate.stage import Row, Stage

WINDOW = 192  # pixels: noise and blocks are looked for in four windows, at the picture's own resolution
WHOLE = 256  # pixels of the short side, or up to twice as many, at which the rest is measured
BLOCK = 8  # pixels of a JPEG's block

Planes = NDArray[np.float32]  # (...,h,w)


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
        planes = planar(picture.small(WHOLE))
        luma, near = luma_of(planes), np.stack([luma_of(planar(window)) for window in windows(picture.image)])
        return {
            "blur": blur(luma),
            "noise": float(np.median(noise(near))),
            "blocks": min(map(blocks, near)),  # a JPEG's grid is everywhere, a pattern is not
            "dark": np.count_nonzero(luma < 0.02) / luma.size,
            "bright": np.count_nonzero(luma > 0.98) / luma.size,
            "contrast": moments(luma)[1],
            "colour": colour(planes),
        }


def planar(image: Image.Image) -> Planes:
    """(3,h,w) in 8-bit levels, each plane in one piece of memory."""
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1), dtype=np.float32)


def luma_of(planes: Planes) -> Planes:
    """(3,h,w) -> (h,w) in [0,1]. Plane by plane: a product of matrices takes five times as long."""
    red, green, blue = LUMA / np.float32(255)
    luma: Planes = planes[0] * red
    luma += planes[1] * green
    luma += planes[2] * blue
    return luma


def moments(plane: Planes) -> tuple[float, float]:
    """Mean and standard deviation."""
    mean = plane.mean()
    apart = (plane - mean).ravel()
    return float(mean), float(np.sqrt(apart @ apart / np.float32(len(apart))))


def blur(luma: Planes) -> float:
    """The blur effect of Crete et al. 2007 (doi 10.1117/12.702790): how little a further blur changes; 0 to 1.

    Sides below 3 pixels have no neighbours to tell by: 1.
    """
    if min(luma.shape) < 3:
        return 1.0
    worst = 0.0
    for plane in (luma, luma.T):
        steps = np.abs(np.diff(plane, axis=0))
        total = float(steps.sum())
        steps -= _steps_of_smoothed(plane)
        lost = float(np.maximum(steps, 0, out=steps).sum())
        worst = max(worst, (total - lost) / total if total > 0 else 1.0)
    return worst


def _steps_of_smoothed(plane: Planes, *, reach: int = 4) -> Planes:
    """Along the first axis, the steps of the mean over `reach` pixels before and after, the paper's filter of 9.

    From one mean to the next a pixel enters and one leaves, so no mean is needed.
    """
    padded = np.pad(plane, ((reach, reach), (0, 0)), mode="edge")
    width = 2 * reach + 1
    steps: Planes = padded[width:] - padded[:-width]
    np.abs(steps, out=steps)
    steps /= np.float32(width)
    return steps


def noise(luma: Planes) -> Planes:
    """(n,h,w) -> (n,): standard deviation of the noise in 8-bit levels, Immerkaer 1996 (doi 10.1006/cviu.1996.0060)."""
    if min(luma.shape[-2:]) < 3:
        return np.zeros(len(luma), dtype=np.float32)
    across = luma[..., :-2] - 2 * luma[..., 1:-1] + luma[..., 2:]
    both = across[:, :-2] - 2 * across[:, 1:-1] + across[:, 2:]
    found: Planes = np.float32(np.sqrt(np.pi / 2) / 6 * 255) * np.abs(both, out=both).mean(axis=(1, 2))
    return found


def blocks(luma: Planes) -> float:
    """The mean step over the borders of 8 x 8 blocks, to that at the strongest of the seven places between.

    1 or less where the grid is not seen; patterns of period 2 or 4 do not look like blocks.
    """
    ratios = []
    for axis in (0, 1):
        steps = np.abs(np.diff(luma, axis=axis)).mean(axis=1 - axis)
        if len(steps) >= BLOCK:
            counts = (len(steps) - np.arange(BLOCK) + BLOCK - 1) // BLOCK
            padded = np.pad(steps, (0, -len(steps) % BLOCK))
            *between, border = padded.reshape(-1, BLOCK).sum(axis=0) / counts + 1e-4
            ratios.append(float(border / max(between)))
    return min(ratios, default=1.0)


def colour(planes: Planes) -> float:
    """Colourfulness M of Hasler and Suesstrunk 2003 (doi 10.1117/12.477378), of sRGB (3,h,w) in [0,255]."""
    red, green, blue = planes
    yellow = red + green
    yellow /= np.float32(2)
    yellow -= blue
    means, spreads = zip(moments(red - green), moments(yellow), strict=True)
    return float(np.hypot(*spreads) + 0.3 * np.hypot(*means))


def windows(image: Image.Image) -> list[Image.Image]:
    """Four windows where the thirds cross, cut between blocks; all of a picture that is hardly larger than one."""
    if min(image.size) < 2 * WINDOW:
        return [image.crop((0, 0, min(image.width, 2 * WINDOW), min(image.height, 2 * WINDOW)))]
    corners = [[(length * third // 3 - WINDOW // 2) // BLOCK * BLOCK for third in (1, 2)] for length in image.size]
    return [image.crop((left, top, left + WINDOW, top + WINDOW)) for left in corners[0] for top in corners[1]]
