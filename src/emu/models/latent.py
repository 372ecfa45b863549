"""Latent diffusion: Stable Diffusion 1.x and 2.x, and SDXL.

Rombach et al. 2022, arXiv 2112.10752; Podell et al. 2023, arXiv 2307.01952.
"""

from typing import Any, ClassVar

import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from torch import Tensor

from emu.architecture import Cond
from emu.models.gaussian import GaussianDiffusion
from emu.objectives import draw_posterior


class LatentDiffusion(GaussianDiffusion):
    """A U-Net on the latents of an autoencoder."""

    pipeline_class: ClassVar[type[Any]] = StableDiffusionPipeline
    sampler_defaults = {"num_inference_steps": 50, "guidance_scale": 7.5}

    def encode_images(self, images: Tensor) -> Tensor:  # pixels -> mean and log-variance, (b,2c,h/f,w/f)
        moments: Tensor = self.pipeline.vae.encode(images).latent_dist.parameters
        return moments

    def encode_prompts(self, prompts: list[str]) -> Cond:
        embeds, _ = self.pipeline.encode_prompt(prompts, self.device, 1, do_classifier_free_guidance=False)
        return {"prompt_embeds": embeds}

    def loss(self, x: Tensor, cond: Cond) -> Tensor:
        def predict(noisy: Tensor, t: Tensor) -> Tensor:
            output: Tensor = self.backbone(noisy, t, cond["prompt_embeds"], return_dict=False)[0]
            return output

        return self.noise_loss(predict, self.latents(x))

    def latents(self, moments: Tensor) -> Tensor:
        """moments (b,2c,h,w) -> a fresh sample (b,c,h,w), scaled as the U-Net takes it."""
        scaling_factor: float = self.pipeline.vae.config.scaling_factor
        return draw_posterior(moments) * scaling_factor

    @property
    def size_multiple(self) -> int:
        return int(self.pipeline.vae_scale_factor * 2 ** (len(self.pipeline.unet.config.down_block_types) - 1))


class LatentDiffusionXL(LatentDiffusion):
    """SDXL: two text encoders, and the picture's size and crop as a condition."""

    pipeline_class = StableDiffusionXLPipeline
    sampler_defaults = {"num_inference_steps": 50, "guidance_scale": 5.0}

    def encode_prompts(self, prompts: list[str]) -> Cond:
        embeds, _, pooled, _ = self.pipeline.encode_prompt(
            prompts, device=self.device, do_classifier_free_guidance=False
        )
        if self.pipeline.config.force_zeros_for_empty_prompt:
            # SDXL learned without a caption from zeros, and its pipeline guides away from zeros.
            kept = torch.tensor([bool(prompt) for prompt in prompts], device=embeds.device)
            embeds, pooled = embeds * kept.view(-1, 1, 1), pooled * kept.view(-1, 1)
        return {"prompt_embeds": embeds, "pooled_prompt_embeds": pooled}

    def loss(self, x: Tensor, cond: Cond) -> Tensor:
        added = {"text_embeds": cond["pooled_prompt_embeds"], "time_ids": cond["size"]}

        def predict(noisy: Tensor, t: Tensor) -> Tensor:
            output: Tensor = self.backbone(noisy, t, cond["prompt_embeds"], added_cond_kwargs=added, return_dict=False)[
                0
            ]
            return output

        return self.noise_loss(predict, self.latents(x))
