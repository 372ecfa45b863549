"""The small autoencoders of the latent bases, trained."""

import math
from collections.abc import Iterator

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn
from torch.nn import functional as F

Images = Iterator[Tensor]  # batches of float (b,3,h,w) in [-1,1]


def reconstruction_loss(output: Tensor, images: Tensor) -> Tensor:
    """Squared and absolute error, of edges too, and of what the three colours differ by.

    Squared error alone leaves edges soft. Without the last term red against green, which varies least in pictures of
    skies and ground, was the one axis of colour that a small autoencoder had not learned when brightness was right.
    """
    edges = sum((output.diff(dim=d) - images.diff(dim=d)).abs().mean() for d in (2, 3))
    difference = output - images
    chroma = difference - difference.roll(1, dims=1)  # R - B, G - R, B - G
    return F.mse_loss(output, images) + 0.5 * F.l1_loss(output, images) + 0.5 * edges + chroma.abs().mean()


def train_kl(
    vae: AutoencoderKL, images: Images, *, steps: int, lr: float = 2e-3, kl_weight: float = 1e-4
) -> Iterator[float]:
    """Yields the reconstruction loss of each step; at the end the scaling factor makes latents of unit variance."""
    optimizer = torch.optim.AdamW(vae.parameters(), lr=lr, betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda i: min(1, (i + 1) / 100) * (0.02 + 0.98 * (1 + math.cos(math.pi * i / steps)) / 2)
    )
    recent: list[Tensor] = []
    for _ in range(steps):
        batch = next(images)
        posterior = vae.encode(batch).latent_dist
        output = vae.decode(posterior.sample()).sample
        loss = reconstruction_loss(output, batch) + kl_weight * posterior.kl().mean() / posterior.mean[0].numel()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        recent = [*recent[-19:], posterior.mean.detach()]
        yield float(F.mse_loss(output.detach(), batch))
    vae.register_to_config(scaling_factor=float(1 / torch.cat(recent).std()))
