"""The blocks that strong JPEG compression leaves, on the file's own grid or on that of a former life."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BLOCK = 8  # pixels of a JPEG's block
MOST = 16  # 8-bit levels of a step that count: an edge of the picture is higher than one of a block

Plane = NDArray[np.float32]  # (h,w) in 8-bit levels


def blocks(windows: Sequence[Plane]) -> float:
    """By how many 8-bit levels the mean step at the strongest of the eight phases stands out from that at the second,
    across or down, whichever stands out less: a grid has both. About 0 where there is none.

    windows: pieces of one picture whose corners are a multiple of 8 pixels apart. In levels, and not as a ratio: where
    a picture is smooth, steps that nobody sees are many times the steps beside them.
    """
    return min(_stands_out([window.T for window in windows]), _stands_out(windows))


def _stands_out(windows: Sequence[Plane]) -> float:
    """Of steps along the second axis."""
    total, count = np.zeros(BLOCK), np.zeros(BLOCK)
    for window in windows:
        steps = np.minimum(np.abs(np.diff(window, axis=1)), MOST).mean(axis=0)
        phase = np.arange(len(steps)) % BLOCK
        total += np.bincount(phase, steps, minlength=BLOCK)
        count += np.bincount(phase, minlength=BLOCK)
    if not count.all():
        return 0.0
    *_, second, strongest = np.sort(total / count)
    return float(strongest - second)
