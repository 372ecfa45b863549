"""From what an autoencoder gives to what a flow-matching transformer takes: normalised, in squares, with places.

The normalisers take an autoencoder's mean and log-variance, (b,2c,h,w), and the autoencoder -> latents (b,c,h,w).
"""

from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from emu.objectives.draws import draw_posterior


def shift_and_scale(moments: Tensor, vae: Any) -> Tensor:
    """SD3, FLUX.1 and most others."""
    latents: Tensor = (draw_posterior(moments) - vae.config.shift_factor) * vae.config.scaling_factor
    return latents


def scale(moments: Tensor, vae: Any) -> Tensor:
    """A shift that the autoencoder may name is not applied."""
    latents: Tensor = draw_posterior(moments) * vae.config.scaling_factor
    return latents


def mean_and_std(moments: Tensor, vae: Any) -> Tensor:
    """Each channel by its own mean and standard deviation: Qwen's autoencoder, which is Wan's."""
    mean, std = (
        torch.tensor(numbers, device=moments.device).view(-1, 1, 1)
        for numbers in (vae.config.latents_mean, vae.config.latents_std)
    )
    return (draw_posterior(moments) - mean) / std


def batch_norm(moments: Tensor, vae: Any, *, eps: float | None = None) -> Tensor:
    """FLUX.2: 2x2 to one of four times the channels, normalised by the autoencoder's running statistics.

    (b,2c,h,w) -> (b,4c,h/2,w/2). The mean is taken and not a sample, as its training script has it. `eps`: beside the
    variance, the autoencoder's own where None.
    """
    mean = rearrange(moments.chunk(2, dim=1)[0], "b c (h p) (w q) -> b (c p q) h w", p=2, q=2)
    average, variance = (numbers.view(-1, 1, 1) for numbers in (vae.bn.running_mean, vae.bn.running_var))
    latents: Tensor = (mean - average) / (variance + (vae.config.batch_norm_eps if eps is None else eps)).sqrt()
    return latents


def forget_frames(vae: Any) -> None:
    """Have an autoencoder of videos keep nothing of a picture for frames that would follow, of which there are none.

    diffusers keeps a copy of what goes into each convolution, which is most of what decoding takes; the picture is the
    same to the bit.
    """
    for part in (vae.encoder, vae.decoder):
        part.register_forward_pre_hook(lambda _, args, named: (args, {**named, "feat_cache": None}), with_kwargs=True)


def pack(latents: Tensor, side: int) -> Tensor:
    """(b,c,h,w) -> tokens (b, h/side w/side, c side side)"""
    return rearrange(latents, "b c (h p) (w q) -> b (h w) (c p q)", p=side, q=side)


def unpack(tokens: Tensor, side: int, rows: int) -> Tensor:
    """Tokens of `rows` rows (b, h/side w/side, c side side) -> (b,c,h,w)"""
    return rearrange(tokens, "b (h w) (c p q) -> b c (h p) (w q)", h=rows, p=side, q=side)


def places(rows: int, columns: int, device: torch.device, *, axes: int = 3) -> Tensor:
    """Where each token of a picture is: float (rows columns, axes) of 0, row, column and then zeros."""
    grid = torch.cartesian_prod(torch.arange(rows, device=device), torch.arange(columns, device=device))
    return torch.nn.functional.pad(grid, (1, axes - 3)).float()
