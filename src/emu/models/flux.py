"""FLUX.1 and Chroma: transformers on packed latents that read T5; FLUX.1 takes a guidance scale as an input."""

from typing import Any

import torch
from diffusers import ChromaPipeline, FluxPipeline
from torch import Tensor

from emu.batch import Cond
from emu.models.flow import FlowMatching
from emu.models.latents import places


class GuidanceInput(FlowMatching):
    """What FLUX.1-dev and FLUX.2-dev share: distilled to draw guided in one pass, they take the scale as an input.

    Args:
        pretrained: as in `FlowMatching`, like all that is not named here.
        guidance: the scale in training. Training pictures are not guided drawings, so 1; drawing
            takes the scale of `sampler`.
    """

    def __init__(self, pretrained: str, *, guidance: float = 1.0, **kwargs: Any) -> None:
        super().__init__(pretrained, **kwargs)
        self.guidance = guidance

    def guidance_input(self, t: Tensor) -> Tensor | None:
        """The scale for each of b pictures; None where the checkpoint takes none, as FLUX.1-schnell's."""
        return torch.full_like(t, self.guidance) if self.pipeline.transformer.config.guidance_embeds else None


class Flux(GuidanceInput):
    """FLUX.1."""

    pipeline_class = FluxPipeline
    tokenizer_name = "tokenizer_2"
    sampler_defaults = {"num_inference_steps": 28, "guidance_scale": 3.5, "max_sequence_length": 512}
    packed, time_scale = 2, 1.0

    def encode_prompts(self, prompts: list[str]) -> Cond:
        embeds, pooled, _ = self.pipeline.encode_prompt(
            prompts, device=self.device, max_sequence_length=self.text_length
        )
        return {"prompt_embeds": embeds, "pooled_prompt_embeds": pooled}

    def predict(self, noisy: Tensor, t: Tensor, cond: Cond, grid: tuple[int, int]) -> Tensor:
        return self.call_backbone(
            noisy,
            encoder_hidden_states=cond["prompt_embeds"],
            pooled_projections=cond["pooled_prompt_embeds"],
            timestep=t,
            guidance=self.guidance_input(t),
            img_ids=places(*grid, noisy.device),
            txt_ids=noisy.new_zeros(cond["prompt_embeds"].shape[1], 3),
        )


class Chroma(FlowMatching):
    """FLUX.1 without the guidance input and CLIP: guided by an empty caption, and T5's padding hidden."""

    pipeline_class = ChromaPipeline
    sampler_defaults = {"num_inference_steps": 35, "guidance_scale": 5.0, "max_sequence_length": 512}
    packed, time_scale = 2, 1.0

    def encode_prompts(self, prompts: list[str]) -> Cond:
        embeds, _, mask, *_ = self.pipeline.encode_prompt(
            prompts, device=self.device, do_classifier_free_guidance=False, max_sequence_length=self.text_length
        )
        return {"prompt_embeds": embeds, "prompt_attention_mask": mask}

    def predict(self, noisy: Tensor, t: Tensor, cond: Cond, grid: tuple[int, int]) -> Tensor:
        mask = cond["prompt_attention_mask"]
        return self.call_backbone(
            noisy,
            encoder_hidden_states=cond["prompt_embeds"],
            timestep=t,
            img_ids=places(*grid, noisy.device),
            txt_ids=noisy.new_zeros(mask.shape[1], 3),
            attention_mask=torch.cat([mask, mask.new_ones(noisy.shape[:2])], dim=1),
        )
