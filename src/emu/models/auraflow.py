"""AuraFlow: a transformer that reads UMT5."""

import torch
from diffusers import AuraFlowPipeline
from torch import Tensor

from emu.batch import Cond
from emu.models.flow import FlowMatching
from emu.models.latents import scale
from emu.storage.shapes import Arguments


class AuraFlow(FlowMatching):
    """Padding of a prompt is zeroed and not hidden."""

    pipeline_class = AuraFlowPipeline
    sampler_defaults = {"num_inference_steps": 50, "guidance_scale": 3.5, "max_sequence_length": 256}
    normalise = staticmethod(scale)
    time_scale = 1.0

    def encode_prompts(self, prompts: list[str]) -> Cond:
        embeds, _, _, _ = self.pipeline.encode_prompt(
            prompts,
            do_classifier_free_guidance=False,
            device=self.device,
            max_sequence_length=self.text_length,
        )
        return {"prompt_embeds": embeds}

    def prompt_arguments(self, cond: Cond, negative: Cond) -> Arguments:
        given = super().prompt_arguments(cond, negative)
        seen = torch.ones_like(cond["prompt_embeds"][..., 0])  # the pipeline asks for masks, and does not use them
        return {**given, "prompt_attention_mask": seen, "negative_prompt_attention_mask": seen}

    def predict(self, noisy: Tensor, t: Tensor, cond: Cond, grid: tuple[int, int]) -> Tensor:
        return self.call_backbone(noisy, cond["prompt_embeds"], t)
