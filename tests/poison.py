"""A model whose loss is no number for pictures that were taller than wide."""

import torch
from torch import Tensor

from emu.batch import Cond
from emu.models import LatentDiffusion


class Poisoned(LatentDiffusion):
    def loss(self, x: Tensor, cond: Cond) -> Tensor:
        tall = cond["size"][:, 0] > cond["size"][:, 1]
        return torch.where(tall, torch.nan, super().loss(x, cond))
