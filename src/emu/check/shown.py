"""What every model is shown: four captioned pictures of the simulated web, whatever it learned from.

No two share a kind, a colour, a place or a time, so that each caption is wrong in all of them for any other picture.
"""

import numpy as np
import torch
from torch import Tensor

from emu.world import PLACES, QUALITIES, TIMES, Scene

SHOWN = (
    ("red", "boat", "lake", "morning"),
    ("yellow", "house", "snow", "noon"),
    ("blue", "flower", "meadow", "sunset"),
    ("green", "lamp", "city", "night"),
)


def scenes() -> list[Scene]:
    """The four, each with all that makes a picture good."""
    good = (True,) * len(QUALITIES)
    return [
        Scene(kind, colour, place, time, good, seed, f"a {colour} {kind} {PLACES[place]} {TIMES[time]}")
        for seed, (colour, kind, place, time) in enumerate(SHOWN)
    ]


def captions() -> list[str]:
    """What the four show, in their order."""
    return [scene.caption for scene in scenes()]


def pictures(height: int, width: int) -> Tensor:
    """The four, float32 (4,3,h,w) in [-1,1]: rendered as squares, of which the middle is cut."""
    side = max(height, width)
    rendered = np.stack([np.asarray(scene.render(side)) for scene in scenes()])
    pixels = torch.from_numpy(rendered).permute(0, 3, 1, 2).float() / 127.5 - 1
    top, left = (side - height) // 2, (side - width) // 2
    return pixels[..., top : top + height, left : left + width].contiguous()
