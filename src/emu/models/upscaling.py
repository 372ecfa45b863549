"""Diffusion that makes a small picture larger: DeepFloyd IF's stage II on pixels, Stable Diffusion's x4 on latents.

Conditioning augmentation (Ho et al. 2021, arXiv 2106.15282, section 4.2): noise is put on the small picture, and the
network is told how much. Notable: while it learns the small picture is the training picture made small, so it needs no
data of its own; to draw it needs pictures, which prompts then come with, and what it draws is `factor` times as large.
"""

from typing import Any

import torch
from diffusers import IFSuperResolutionPipeline, StableDiffusionUpscalePipeline
from torch import Tensor
from torch.nn import functional as F

from emu.batch import Cond
from emu.errors import UserError
from emu.models.gaussian import GaussianDiffusion
from emu.models.latent import LatentDiffusion
from emu.models.pixel import PixelDiffusion
from emu.objectives.draws import draw_normal, draw_uniform
from emu.storage.shapes import Arguments


class Upscaling(GaussianDiffusion):
    """What both share. Any noise level is learned, evenly; `sampler.noise_level` is the one to draw with.

    Args:
        pretrained: as in `GaussianDiffusion`, like all that is not named here.
        crop: side in pixels of what is learned of a picture at once, cut out anew each time, as Imagen's last stage
            learns 1024 pixels (arXiv 2205.11487, section 2.4); None for all of it. Whole pictures are drawn.
    """

    starts_from_picture = True
    beside = 3

    def __init__(self, pretrained: str, *, crop: int | None = None, **kwargs: Any) -> None:
        super().__init__(pretrained, **kwargs)
        self.crop = crop

    def configure_model(self) -> None:
        super().configure_model()
        if self.crop is None:
            return
        if self.crop < 1 or self.crop % self.size_multiple or self.crop > (self.resolution or self.crop):
            upper = f", at most data.resolution, {self.resolution}" if self.resolution else ""
            raise UserError(f"model.init_args.crop {self.crop}: give a multiple of {self.size_multiple} pixels{upper}")

    def loss(self, x: Tensor, cond: Cond) -> Tensor:
        x = x if self.crop is None else cropped(x, self.crop // self.grain)
        levels = (draw_uniform([len(x)], x.device) * self.levels).long()
        small = self.small(x)
        noised = self.noising.add_noise(small, draw_normal(small.shape, x.device, x.dtype), levels)
        return super().loss(x, {**cond, "small": noised, "level": levels})

    def predict(self, noisy: Tensor, t: Tensor, cond: Cond) -> Tensor:
        both = torch.cat([noisy, cond["small"]], dim=1)
        return self.call_backbone(both, t, cond["prompt_embeds"], class_labels=cond["level"])

    def small(self, x: Tensor) -> Tensor:
        """What `encode_images` gave -> the small pictures (b,3,h,w) as the network takes them, without noise."""
        raise NotImplementedError

    @property
    def noising(self) -> Any:
        """The scheduler that puts noise on small pictures."""
        raise NotImplementedError

    @property
    def grain(self) -> int:
        """Side in pixels of what one place of `encode_images` stands for."""
        return 1

    @property
    def start_side(self) -> int:
        """As the parent's; of a model of no resolution by what its network was made for."""
        made_for = (self.pipeline.unet.config.sample_size or 64) * self.grain
        return int(self.resolution or made_for) // self.factor

    @property
    def levels(self) -> int:
        """How many levels of that noise there are."""
        return int(self.noising.config.num_train_timesteps)


class PixelUpscaling(Upscaling, PixelDiffusion):
    """Stage II of DeepFloyd IF.

    Args:
        pretrained: as in `Upscaling` and `PixelDiffusion`, like all that is not named here.
        factor: sides of the training pictures over those of the small ones.
    """

    pipeline_class = IFSuperResolutionPipeline
    sampler_defaults = {"num_inference_steps": 50, "guidance_scale": 4.0, "noise_level": 250, "clean_caption": False}

    def __init__(self, pretrained: str, *, factor: int = 4, **kwargs: Any) -> None:
        super().__init__(pretrained, **kwargs)
        self._factor = factor

    @property
    def factor(self) -> int:
        """As it was given."""
        return self._factor

    @property
    def noising(self) -> Any:
        return self.pipeline.image_noising_scheduler

    def small(self, x: Tensor) -> Tensor:
        """Pictures (b,3,h,w) made small, and as large again in the way of the pipeline."""
        return F.interpolate(made_small(x, self.factor), x.shape[-2:], mode="bilinear", align_corners=True)

    @property
    def size_multiple(self) -> int:
        return max(super().size_multiple, self.factor)


class LatentUpscaling(Upscaling, LatentDiffusion):
    """Stable Diffusion's x4 upscaler, which IF has for a stage III: latents beside the small picture itself."""

    pipeline_class = StableDiffusionUpscalePipeline
    sampler_defaults = {"num_inference_steps": 75, "guidance_scale": 9.0, "noise_level": 20}

    @property
    def factor(self) -> int:
        """The autoencoder's: a latent for each pixel of the small picture."""
        return int(self.pipeline.vae_scale_factor)

    @property
    def grain(self) -> int:
        """That of a latent."""
        return self.factor

    def encode_images(self, images: Tensor) -> Tensor:  # pixels -> mean, log-variance, small: (b,2c+3,h/f,w/f)
        return torch.cat([super().encode_images(images), made_small(images, self.factor)], dim=1)

    def latents(self, x: Tensor) -> Tensor:
        return super().latents(x[:, : -self.beside])

    @property
    def noising(self) -> Any:
        return self.pipeline.low_res_scheduler

    @property
    def levels(self) -> int:
        return int(self.pipeline.config.max_noise_level) + 1

    def small(self, x: Tensor) -> Tensor:
        """The last channels."""
        return x[:, -self.beside :]

    def size_arguments(self, height: int | None, width: int | None) -> Arguments:
        """None: the pipeline's call takes no size."""
        return {}

    def prompt_arguments(self, cond: Cond, negative: Cond) -> Arguments:
        # In [0,1]: this pipeline guesses a tensor's range from its least number, and says that it will not for long.
        return super().prompt_arguments(cond, negative) | {"image": cond["image"] / 2 + 0.5}


def made_small(images: Tensor, factor: int) -> Tensor:
    """Pictures (b,3,h,w) in [-1,1] with sides of 1/factor."""
    height, width = images.shape[-2:]
    sides = (height // factor, width // factor)
    return F.interpolate(images, sides, mode="bicubic", antialias=True).clamp(-1, 1)


def cropped(x: Tensor, side: int) -> Tensor:
    """A square of (b,c,h,w) with sides of `side`, or as far as it goes, from a place that each picture draws anew."""
    size = torch.tensor(x.shape[-2:], device=x.device)
    room = (size - side).clamp(min=0) + 1
    offsets = (draw_uniform([len(x), 2], x.device) * room).long()
    down, across = (offsets[:, i, None] + torch.arange(min(side, x.shape[2 + i]), device=x.device) for i in (0, 1))
    picture = torch.arange(len(x), device=x.device)[:, None, None]
    return x[picture, :, down[:, :, None], across[:, None]].permute(0, 3, 1, 2)
