"""The blocks that strong JPEG compression leaves, on the file's own grid or on that of a former life."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BLOCK = 8  # pixels of a JPEG's block
MOST = 16  # 8-bit levels of a step that count: an edge of the picture is higher than one of a block

Levels = NDArray[np.uint8]  # (h,w)


def blocks(windows: Sequence[Levels]) -> float:
    """By how many 8-bit levels the mean step at the strongest of the eight phases stands out from that at the second,
    across or down, whichever stands out less: a grid has both. About 0 where there is none.

    windows: pieces of one picture, at most 4,095 pixels a side, whose corners are a multiple of 8 pixels apart. In
    levels, and not as a ratio: where a picture is smooth, steps that nobody sees are many times the steps beside them.
    """
    return min(_stands_out([window.T for window in windows]), _stands_out(windows))


def _stands_out(windows: Sequence[Levels]) -> float:
    """Of steps along the second axis."""
    total, count = np.zeros(BLOCK), np.zeros(BLOCK)
    for window in windows:
        steps = _steps(window[:, 1:], window[:, :-1])
        means = steps.sum(axis=0, dtype=np.uint16) / len(steps)
        phase = np.arange(len(means)) % BLOCK
        total += np.bincount(phase, means, minlength=BLOCK)
        count += np.bincount(phase, minlength=BLOCK)
    if not count.all():
        return 0.0
    *_, second, strongest = np.sort(total / count)
    return float(strongest - second)


def _steps(ones: Levels, others: Levels) -> Levels:
    """How far they are from each other, at most MOST."""
    steps: Levels = np.maximum(ones, others) - np.minimum(ones, others)
    return np.clip(steps, np.uint8(0), np.uint8(MOST), out=steps)  # `minimum` of bytes and a number takes ten times
