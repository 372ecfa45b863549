"""The bases' decoders, trained further while what they read stays: the same latents and tokens, drawn sharper.

The backbone need not learn anything anew. As in the last stage of pre-training (scripts/subjects.py), the subject
counts for more than the sky.
"""

import math
import time
from itertools import count
from pathlib import Path

import numpy as np
import torch
from images import to_tensor
from pretraining import descend
from torch import Tensor
from torch.nn import functional as F

from emu.models import Autoencoder, Tokenizer
from emu.optim import averaging

MODULES = {"latent": Autoencoder, "muse": Tokenizer}
RATE, BATCH = 2.5e-3, 32
EMPHASIS = 3.0  # of pixels that show the subject, against 1


def sharpen(name: str, work: Path, images: np.ndarray, where: np.ndarray, *, side: int, minutes: float) -> None:
    """WORK/NAME: the shipped pipeline, its decoder's average after `minutes` of `images`, uint8 (n,h,w,3).

    Args:
        where: bool (n,16,16), the cells in which subjects are.
    """
    module = MODULES[name](f"emu://bases/{name}", decoder_only=True, adversarial_weight=0, resolution=side)
    module.configure_model()
    optimizer = torch.optim.AdamW(module.trained_parameters(), lr=RATE, betas=(0.9, 0.98))
    rng, begun, total = np.random.default_rng(0), time.time(), 0.0
    for step in count(1):
        done = min(1.0, (time.time() - begun) / 60 / minutes)
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, step / 50) * (0.02 + 0.98 * (1 + math.cos(math.pi * done)) / 2)
        pick = rng.integers(len(images), size=BATCH)
        real = F.interpolate(to_tensor(images[pick]), size=(side, side), mode="area")
        shown = F.interpolate(torch.from_numpy(where[pick]).float()[:, None], size=(side, side))
        made, _ = module.reconstruct(real)
        loss = error(made, real, 1 + (EMPHASIS - 1) * shown)
        descend(module.backbone, optimizer, loss)
        averaging.update(module.ema, module.backbone, decay=averaging.decay_at(step, 0.998))
        total += float(loss.detach())
        if step % 100 == 0:
            print(f"{name} decoder {step}: {total / 100:.4f}  {time.time() - begun:.0f} s", flush=True)
            total = 0.0
        if done == 1:
            break
    module.save_pipeline(work / name)


def error(made: Tensor, real: Tensor, weight: Tensor) -> Tensor:
    """`emu.models.reconstruction.pixel_error`, each place counting as `weight`, (b,1,h,w), says."""
    difference, total = made - real, mean(made - real, weight)
    for _ in range(3):
        for axis in (2, 3):
            edges = difference.diff(dim=axis)
            total = total + 0.5 * mean(edges, weight.narrow(axis, 0, edges.shape[axis]))
        difference, weight = F.avg_pool2d(difference, 2), F.avg_pool2d(weight, 2)
    return total


def mean(difference: Tensor, weight: Tensor) -> Tensor:
    """Of absolute values, over all of a picture, then over pictures."""
    each = (difference.abs().mean(dim=1, keepdim=True) * weight).sum(dim=(1, 2, 3)) / weight.sum(dim=(1, 2, 3))
    return each.mean()
