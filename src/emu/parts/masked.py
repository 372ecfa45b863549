"""Drawing with masked tokens: all begin hidden, and the surest stay at each step (arXiv 2301.00704, 2.8)."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


def fill_in(
    predict: Callable[[Tensor, float], Tensor],
    shape: Sequence[int],
    *,
    scheduler: Any,
    scales: Sequence[float],
    generators: Sequence[torch.Generator | None],
    temperature: Any = (2, 0),
    device: torch.device | str = "cpu",
) -> Tensor:
    """Tokens int64 of `shape` (b,h,w), none of them hidden.

    Args:
        predict: tokens int64 (b,h,w), some of them hidden, and a scale of guidance -> logits (b,codes,h,w).
        scheduler: diffusers' AmusedScheduler, which says how many stay, and what stands for a hidden one.
        scales: guidance of each step, one or more.
        generators: one a picture, so that none depends on its batch.
        temperature: of the draws, at the first and at the last step.
    """
    scheduler.set_timesteps(len(scales), temperature, device)
    tokens = torch.full(tuple(shape), scheduler.config.mask_token_id, device=device)
    for t, scale in zip(scheduler.timesteps, scales, strict=True):
        rows = zip(predict(tokens, scale)[:, None], tokens[:, None], generators, strict=True)
        tokens = torch.cat([scheduler.step(row, t, now, generator=draw).prev_sample for row, now, draw in rows])
    return tokens


def scales(steps: int, last: float, first: float | None = None) -> list[float]:
    """Of guidance at each step: even, or rising evenly from `first`, which is never above (arXiv 2301.00704, 2.7)."""
    return torch.linspace(last if first is None else min(first, last), last, steps).tolist()


def pixels(vqvae: Any, tokens: Tensor) -> Tensor:
    """Tokens (b,h,w) -> float32 (b,3,h,w) in [0,1]."""
    shape = (*tokens.shape, vqvae.config.latent_channels)
    images: Tensor = vqvae.decode(tokens, force_not_quantize=True, shape=shape).sample
    return images.float().clamp(0, 1)


def tokens_of(vqvae: Any, images: Tensor) -> Tensor:
    """Pictures (b,3,h,w) in [-1,1] -> tokens int64 (b,h/f,w/f). These autoencoders take [0,1]."""
    latents = vqvae.encode(images / 2 + 0.5).latents
    _, _, (_, _, tokens) = vqvae.quantize(latents)
    grid: Tensor = tokens.view(len(images), *latents.shape[2:])
    return grid


def token_size(vqvae: Any) -> int:
    """Side in pixels of what one token stands for."""
    return int(2 ** (len(vqvae.config.block_out_channels) - 1))
