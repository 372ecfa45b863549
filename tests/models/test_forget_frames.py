"""An autoencoder of videos that is given pictures: the same to the bit, in less memory."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLQwenImage21
from torch import Tensor

from emu.models.latents import forget_frames
from emu.planning.footprint import Peak
from emu.planning.weightless import Shapes
from flow_pipelines import qwen_autoencoder


def transparent() -> AutoencoderKLQwenImage21:
    return AutoencoderKLQwenImage21(
        base_dim=8, decoder_base_dim=12, z_dim=4, dim_mult=[1, 1, 1, 1, 1], num_res_blocks=1,
        latents_mean=[0.0] * 4, latents_std=[1.0] * 4,
    )  # fmt: skip


@pytest.mark.parametrize(("make", "channels"), [(qwen_autoencoder, 3), (transparent, 4)])
@torch.no_grad()
def test_pictures_and_latents_are_the_same_to_the_bit(make: Callable[[], Any], channels: int) -> None:
    torch.manual_seed(0)
    vae = make().eval()
    picture, latents = torch.rand(2, channels, 1, 32, 32), torch.randn(2, 4, 1, 2, 2)

    def both() -> tuple[Tensor, Tensor]:
        return vae.encode(picture).latent_dist.parameters, vae.decode(latents).sample

    before = both()
    forget_frames(vae)
    assert all(torch.equal(one, other) for one, other in zip(before, both(), strict=True))


@torch.no_grad()
def test_decoding_takes_less() -> None:
    peaks = []
    for forgets in (False, True):
        with Shapes():
            vae = qwen_autoencoder()
            if forgets:
                forget_frames(vae)
            latents = torch.randn(1, 4, 1, 64, 64)
            with Peak() as peak:
                vae.decode(latents)
        peaks.append(peak.most)
    assert peaks[1] < 0.7 * peaks[0]
