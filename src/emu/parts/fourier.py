"""The paper's autoencoder: Fourier features of the colours go in beside them (arXiv 2309.15807, section 3.1).

Neither frequencies nor their number are in the paper; these are of Kingma et al. 2021 (arXiv 2107.00630), with which a
network tells a level of 254 from 255. They are not learned.
"""

import math
from typing import Any

import torch
from diffusers import AutoencoderKL, ModelMixin
from torch import Tensor

__all__ = ["FourierAutoencoderKL", "ModelMixin", "features"]  # diffusers loads a class by a base that its file names

HIGHEST = 7  # 2^7 pi: a level of 8 bits is a quarter of a wave


class FourierAutoencoderKL(AutoencoderKL):  # type: ignore[misc]  # diffusers gives its classes no types
    """`AutoencoderKL` whose encoder also takes sin and cos of every colour at n frequencies.

    `in_channels` in its config says how many: 3 (1 + 2 n), so 9 for one frequency and 15 for two. It takes and gives
    pictures as its base does, and `DiffusionPipeline.from_pretrained` loads it wherever emu is installed.
    """

    def encode(self, x: Tensor, return_dict: bool = True) -> Any:
        """float (b,3,h,w) in [-1,1] -> the distribution of its latents."""
        return super().encode(features(x, (self.config.in_channels // 3 - 1) // 2), return_dict)


def features(x: Tensor, number: int) -> Tensor:
    """float (b,3,h,w) in [-1,1] -> (b, 3 (1 + 2 number), h, w), computed in float32 and given in the dtype of x."""
    exact = x.float()
    angles = [exact * 2**n * math.pi for n in range(HIGHEST + 1 - number, HIGHEST + 1)]
    return torch.cat([exact, *(f(angle) for angle in angles for f in (torch.sin, torch.cos))], dim=1).to(x.dtype)
