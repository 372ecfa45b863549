"""What a judge of the simulated web sees before it decides: an embedder that ships with emu, for tests and tours.

It knows the simulated web and nothing of photographs.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from emu.errors import UserError
from emu.judges.judge import Card, versions
from emu.judges.world import SIDE, WorldAppeal, WorldFaithfulness

JUDGES = {"world-appeal": WorldAppeal, "world-faithfulness": WorldFaithfulness}


class WorldFeatures:
    """The activations below the last layer of a world judge's network, of length 1.

    Args:
        judge: `world-faithfulness`, which learned what is shown and not how well, or `world-appeal`.
    """

    def __init__(self, judge: str = "world-faithfulness") -> None:
        if judge not in JUDGES:
            raise UserError(f"WorldFeatures: no judge {judge}; there are {', '.join(JUDGES)}")
        self.judge = JUDGES[judge]()

    @torch.inference_mode()
    def image(self, image: Tensor) -> Tensor:
        """A picture, float (3,h,w) in [0,1] on any device -> (1280,) of length 1."""
        reader = self.judge.reader.to(image.device)
        seen = F.interpolate(image[None].float(), (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
        seen = seen * 2 - 1
        for layer in list(reader)[:-1]:
            seen = layer(seen)
        return F.normalize(seen[0], dim=0)

    def describe(self) -> Card:
        """Name and hash of the network, preprocessing, versions."""
        preprocessing = f"antialiased bilinear to {SIDE} x {SIDE}, RGB in [-1, 1]"
        card: Card = {"model": self.judge.name, "sha256": self.judge.sha256}
        return {**card, "preprocessing": preprocessing, "versions": versions("torch")}
