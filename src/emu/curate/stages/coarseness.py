"""How coarsely a picture was rounded when it was saved as a JPEG, now or in a former life: read from its pixels alone.

A JPEG keeps each wave of a block of 8 x 8 pixels as a whole number of steps, and what it rounded stays so when the
picture is saved again, in any format, as long as the blocks lie where they lay.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BLOCK = 8
WAVES = ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0))  # cycles in half blocks: the slowest, that every JPEG keeps
STEPS = np.arange(2, 41)  # 8-bit levels: qualities of about 92 and less
FINEST, COARSEST = 1, 64  # what is said where no step is seen, and where nothing is left to see one in
FITS = 0.5  # the mean cosine of waves in units of a step: 1 where all are whole numbers of it, about 0 elsewhere
FEWEST = 0.01  # of the blocks have a wave, or nothing can be said
FINE, FURTHEST = 4, 128  # of the histogram: places a level, and levels either way

Levels = NDArray[np.uint8]  # (h,w)


def coarseness(windows: Sequence[Levels]) -> float:
    """The step, in 8-bit levels, that the slowest waves are whole numbers of: the median of five. 1 where there is
    none, 64 where hardly a wave is left.

    windows: pieces of one picture whose corners are a multiple of 8 pixels apart.
    """
    waves = np.concatenate([_waves(window) for window in windows])
    return float(np.median([_step(wave) for wave in waves.T])) if len(waves) else float(FINEST)


def _waves(window: Levels) -> NDArray[np.float32]:
    """(blocks,5): of each block how much of each wave, as a JPEG's cosine transform has it."""
    down, across = (length // BLOCK for length in window.shape)
    whole = window[: down * BLOCK, : across * BLOCK].reshape(down, BLOCK, across, BLOCK).swapaxes(1, 2)
    found: NDArray[np.float32] = whole.reshape(-1, BLOCK * BLOCK).astype(np.float32) @ _basis()
    return found


def _basis() -> NDArray[np.float32]:
    """(64,5)."""
    places = 2 * np.arange(BLOCK) + 1
    of = [np.cos(places * n * np.pi / (2 * BLOCK)) * (np.sqrt(1 / BLOCK) if n == 0 else 0.5) for n in range(3)]
    return np.stack([np.outer(of[down], of[across]).ravel() for down, across in WAVES], axis=1).astype(np.float32)


def _step(wave: NDArray[np.float32]) -> int:
    """The largest step that fits. Waves of less than half a step are rounded to none, and say nothing of it."""
    levels = np.clip(wave, -FURTHEST, FURTHEST)
    count = np.bincount(np.rint((levels + FURTHEST) * FINE).astype(np.int64), minlength=2 * FURTHEST * FINE + 1)
    at = np.arange(len(count)) / FINE - FURTHEST
    if count[np.abs(at) > 1].sum() < FEWEST * len(wave):
        return COARSEST
    counted = np.abs(at) >= STEPS[:, None] / 2
    many = counted @ count
    fit = (np.cos(2 * np.pi * at / STEPS[:, None]) * counted) @ count / np.maximum(many, 1)
    fits = STEPS[(fit > FITS) & (many >= FEWEST * len(wave))]
    return int(fits.max()) if len(fits) else FINEST
