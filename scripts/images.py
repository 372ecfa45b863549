"""Pictures held in memory, on their way to a network: uint8 (n,h,w,3) in, batches of floats out."""

from collections.abc import Iterator

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional as F


def to_tensor(batch: np.ndarray) -> Tensor:
    """uint8 (b,h,w,3) -> float (b,3,h,w) in [-1,1]"""
    return torch.from_numpy(np.array(batch)).permute(0, 3, 1, 2).float() / 127.5 - 1


def batches(images: np.ndarray, size: int, seed: int = 0) -> Iterator[Tensor]:
    """Endless random batches of uint8 (n,h,w,3), as `to_tensor` makes them."""
    rng = np.random.default_rng(seed)
    while True:
        pick = np.sort(rng.choice(len(images), size, replace=False))
        yield to_tensor(images[pick]).contiguous(memory_format=torch.channels_last)


def degraded(images: Tensor) -> Tensor:
    """Small harmless changes, so that a judge reads pictures nobody drew: fewer pixels, noise, a shift of level."""
    side = int(torch.randint(24, 65, ()))
    small = F.interpolate(images, size=(side, side), mode="bilinear", antialias=True, align_corners=False)
    noisy = small + torch.rand(()) * 0.06 * torch.randn_like(small)
    return (noisy + 0.04 * torch.randn(len(images), 1, 1, 1)).clamp(0, 1)


@torch.inference_mode()
def through(vae: AutoencoderKL, images: Tensor) -> Tensor:
    """What is left of pictures after the autoencoder: the best that latent diffusion could draw."""
    parts = [vae.decode(vae.encode(part * 2 - 1).latent_dist.mode()).sample for part in images.split(64)]
    return (torch.cat(parts) / 2 + 0.5).clamp(0, 1)
