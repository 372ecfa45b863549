"""Pixel diffusion's stage II: DeepFloyd IF's U-Net that makes a small picture larger.

Conditioning augmentation (Ho et al. 2021, arXiv 2106.15282, section 4.2): noise is put on the small picture, and the
network is told how much. Notable: while it learns the small picture is the training picture made small, so it needs no
data of its own; to draw it needs pictures, which prompts then come with.
"""

from typing import Any

import torch
from diffusers import IFSuperResolutionPipeline
from torch import Tensor
from torch.nn import functional as F

from emu.batch import Cond
from emu.draws import draw_normal, draw_uniform
from emu.models.pixel import PixelDiffusion


class PixelUpscaling(PixelDiffusion):
    """Any noise level is learned, evenly; `sampler.noise_level` is the one to draw with.

    Args:
        pretrained: as in `PixelDiffusion`, like all that is not named here.
        factor: sides of the training pictures over those of the small ones.
    """

    pipeline_class = IFSuperResolutionPipeline
    starts_from_picture = True
    channels = 6
    sampler_defaults = {"num_inference_steps": 50, "guidance_scale": 4.0, "noise_level": 250, "clean_caption": False}

    def __init__(self, pretrained: str, *, factor: int = 4, **kwargs: Any) -> None:
        super().__init__(pretrained, **kwargs)
        self.factor = factor

    def loss(self, x: Tensor, cond: Cond) -> Tensor:
        scheduler = self.pipeline.image_noising_scheduler
        levels = (draw_uniform([len(x)], x.device) * scheduler.config.num_train_timesteps).long()
        small = self.enlarged(x)
        noised = scheduler.add_noise(small, draw_normal(small.shape, x.device, x.dtype), levels)
        return super().loss(x, {**cond, "small": noised, "level": levels})

    def predict(self, noisy: Tensor, t: Tensor, cond: Cond) -> Tensor:
        both = torch.cat([noisy, cond["small"]], dim=1)
        return self.call_backbone(both, t, cond["prompt_embeds"], class_labels=cond["level"])

    def enlarged(self, x: Tensor) -> Tensor:
        """Pictures (b,3,h,w) made small, and as large again in the way of the pipeline."""
        height, width = x.shape[-2:]
        sides = (height // self.factor, width // self.factor)
        small = F.interpolate(x, sides, mode="bicubic", antialias=True).clamp(-1, 1)
        return F.interpolate(small, (height, width), mode="bilinear", align_corners=True)

    @property
    def size_multiple(self) -> int:
        return max(super().size_multiple, self.factor)
