"""Drift as `verdict.json` tells it: how colour and contrast moved over all pictures of a run, whatever they show."""

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emu.guards import Evidence
from emu.guards.drift import moved, noted
from emu.guards.looks import COLOURS, colours


def measures(pixels: NDArray[np.uint8]) -> dict[str, float]:
    """uint8 (h,w,3) -> mean luma, its standard deviation, and the mean of largest minus smallest channel; 0 to 1."""
    return dict(zip(COLOURS, colours(pixels).tolist(), strict=True))


def drift(evidence: Evidence) -> dict[str, Any]:
    """measure -> {"before", "after": means, "difference", "ci95": [lo, hi] of it, "noted"}, paired by prompt and seed.

    `noted` is a word where the difference would be noticed and its interval excludes no change, else None.
    """
    return {name: {**asdict(told), "noted": noted(name, told)} for name, told in moved(evidence).items()}
