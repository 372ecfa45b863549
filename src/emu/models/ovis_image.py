"""Ovis-Image: FLUX.1's transformer without the guidance input, which reads Qwen3 and was made to draw text."""

from functools import cached_property
from typing import Any

from diffusers import OvisImagePipeline
from torch import Tensor

from emu.batch import Cond
from emu.models.flow import FlowMatching
from emu.models.latents import places


class OvisImage(FlowMatching):
    """Padding of a prompt is zeroed and not hidden."""

    pipeline_class = OvisImagePipeline
    sampler_defaults = {"num_inference_steps": 50, "guidance_scale": 5.0, "max_sequence_length": 256}
    optional_parts = ()
    packed, time_scale = 2, 1.0

    def encode_prompts(self, prompts: list[str]) -> Cond:
        embeds, *_ = self.pipeline.encode_prompt(
            prompts, do_classifier_free_guidance=False, device=self.device, max_sequence_length=self.text_length
        )
        return {"prompt_embeds": embeds}

    def predict(self, noisy: Tensor, t: Tensor, cond: Cond, grid: tuple[int, int]) -> Tensor:
        length = cond["prompt_embeds"].shape[1]
        return self.call_backbone(
            noisy,
            encoder_hidden_states=cond["prompt_embeds"],
            timestep=t,
            img_ids=places(*grid, noisy.device),
            txt_ids=places(1, length, noisy.device)[:, [0, 2, 2]],  # a token's row is its column
        )

    @cached_property
    def texts(self) -> Any:
        """The pipeline without its parts: what it puts around a prompt."""
        return self.pipeline_class(None, None, None, self.tokenizer, None)

    def in_template(self, prompt: str) -> str:
        (text,) = self.texts._get_messages(prompt)
        return str(text)

    @property
    def max_tokens(self) -> int:
        return self.text_length + int(self.texts.user_prompt_begin_id)
