"""Drift: how colour and contrast moved over all pictures of a run, whatever they show.

Tuning is known to do this beyond what a prompt asks for, noise offset above all; a judge of appeal may like it, so the
page says it beside the verdict.
"""

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emu.compare.pairs import Pair
from emu.compare.pictures import open_picture
from emu.statistics import mean_difference

NOTED = 0.05  # of the whole range: a change that one sees in pictures side by side
WORDS = {  # measure -> what more of it is called, and less of it
    "brightness": ("brighter", "darker"),
    "contrast": ("richer in contrast", "flatter"),
    "saturation": ("more colourful", "paler"),
}
LUMA = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)  # ITU-R BT.709, on the stored values


def measures(pixels: NDArray[np.uint8]) -> dict[str, float]:
    """uint8 (h,w,3) -> mean luma, its standard deviation, and the mean of largest minus smallest channel; 0 to 1."""
    scaled = pixels.astype(np.float32) / 255
    luma = scaled @ LUMA
    chroma = scaled.max(-1) - scaled.min(-1)
    return {"brightness": float(luma.mean()), "contrast": float(luma.std()), "saturation": float(chroma.mean())}


def drift(pairs: list[Pair]) -> dict[str, Any]:
    """measure -> {"before", "after": means, "difference", "ci95": [lo, hi] of it, "noted"}, paired by prompt and seed.

    `noted` is a word where the difference is above NOTED and its interval excludes no change, else None.
    """
    sides = [
        [measures(np.asarray(open_picture(path))) for path in paths]
        for paths in ([pair.before for pair in pairs], [pair.after for pair in pairs])
    ]
    found = {}
    for name, (more, less) in WORDS.items():
        told = mean_difference(*([one[name] for one in side] for side in sides))
        sure = told.ci95[0] > 0 or told.ci95[1] < 0
        word = (more if told.difference > 0 else less) if sure and abs(told.difference) > NOTED else None
        found[name] = {**asdict(told), "noted": word}
    return found
