"""Latent diffusion: Stable Diffusion 1.x and 2.x, and SDXL.

Rombach et al. 2022, arXiv 2112.10752; Podell et al. 2023, arXiv 2307.01952.
"""

from typing import Any, ClassVar

import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from torch import Tensor

from emu.batch import Cond
from emu.models.gaussian import GaussianDiffusion
from emu.objectives.draws import draw_posterior
from emu.storage.shapes import Arguments


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

    def latents(self, x: Tensor) -> Tensor:
        """As in the parent: a fresh sample of the latents of these moments."""
        scaling_factor: float = self.pipeline.vae.config.scaling_factor
        return draw_posterior(x) * scaling_factor

    def untrainable(self, pipeline: Any) -> str | None:
        name = "unet" if "unet" in pipeline.components else "transformer"  # not the slot: an autoencoder may train
        vae, channels = pipeline.vae.config, getattr(pipeline, name).config.in_channels
        if channels != vae.latent_channels + self.beside:
            return (
                f"its {name} takes {channels} channels and its autoencoder makes {vae.latent_channels}: it "
                "learned from more than text, as those do that fill in or edit pictures"
            )
        return super().untrainable(pipeline) or self._not_drawn_alike(vae)

    def _not_drawn_alike(self, vae: Any) -> str | None:
        if vae.latents_mean is None and vae.latents_std is None:
            return None
        return "its vae/config.json has latents_mean and latents_std, which StableDiffusionPipeline draws without"

    @property
    def size_multiple(self) -> int:
        return int(self.pipeline.vae_scale_factor * 2 ** (len(self.pipeline.unet.config.down_block_types) - 1))


class LatentDiffusionXL(LatentDiffusion):
    """SDXL: two text encoders, and the picture's size and crop as a condition."""

    pipeline_class = StableDiffusionXLPipeline
    sampler_defaults = {"num_inference_steps": 50, "guidance_scale": 5.0}

    def latents(self, x: Tensor) -> Tensor:
        """As in the parent; of mean 0 and deviation 1 where the autoencoder's config has theirs, as Playground's."""
        vae, scaled = self.pipeline.vae.config, super().latents(x)
        if vae.latents_mean is None:
            return scaled
        mean, deviation = (scaled.new_tensor(list(of)).view(1, -1, 1, 1) for of in (vae.latents_mean, vae.latents_std))
        normalised: Tensor = (scaled - mean * vae.scaling_factor) / deviation
        return normalised

    def _not_drawn_alike(self, vae: Any) -> str | None:
        if (vae.latents_mean is None) != (vae.latents_std is None):  # the pipeline then draws without either
            return "its vae/config.json has one of latents_mean and latents_std, and takes both or none"
        return None

    def encode_prompts(self, prompts: list[str]) -> Cond:
        embeds, _, pooled, _ = self.pipeline.encode_prompt(
            prompts, device=self.device, do_classifier_free_guidance=False
        )
        if self.pipeline.config.force_zeros_for_empty_prompt:
            # SDXL learned without a caption from zeros, and its pipeline guides away from zeros.
            kept = torch.tensor([bool(prompt) for prompt in prompts], device=embeds.device)
            embeds, pooled = embeds * kept.view(-1, 1, 1), pooled * kept.view(-1, 1)
        return {"prompt_embeds": embeds, "pooled_prompt_embeds": pooled}

    def plain_arguments(self, prompt: str) -> Arguments:
        return {"prompt": prompt, **self.sampler}  # "" would be encoded, where the pipeline by itself has zeros

    def predict(self, noisy: Tensor, t: Tensor, cond: Cond) -> Tensor:
        added = {"text_embeds": cond["pooled_prompt_embeds"], "time_ids": cond["size"]}
        return self.call_backbone(noisy, t, cond["prompt_embeds"], added_cond_kwargs=added)
