"""CogView4: a transformer that reads GLM-4, with the picture's size and crop as conditions as SDXL has them."""

import math

import torch
from diffusers import CogView4Pipeline
from diffusers.pipelines.cogview4.pipeline_cogview4 import calculate_shift
from torch import Tensor

from emu.batch import Cond
from emu.models.flow import FlowMatching
from emu.models.latents import scale
from emu.models.padding import cut, pad
from emu.storage.shapes import Arguments

STEP = 16  # its encodings are of so many tokens or a multiple, filled up in front of the prompt


class CogView4(FlowMatching):
    """It hides no padding, so each caption goes through encoder and transformer at its own length, one at a time."""

    pipeline_class = CogView4Pipeline
    sampler_defaults = {"num_inference_steps": 50, "guidance_scale": 5.0, "max_sequence_length": 1024}
    optional_parts = ()
    normalise = staticmethod(scale)
    draws_alone = True

    def encode_prompts(self, prompts: list[str]) -> Cond:
        length = self.text_length
        rows = [
            self.pipeline.encode_prompt(
                [prompt], do_classifier_free_guidance=False, device=self.device, max_sequence_length=length
            )[0][0]
            for prompt in prompts
        ]
        padded, mask = pad(rows, math.ceil(length / STEP) * STEP)
        return {"prompt_embeds": padded, "prompt_mask": mask}

    def prompt_arguments(self, cond: Cond, negative: Cond) -> Arguments:
        (text,), (away,) = (cut(one["prompt_embeds"], one["prompt_mask"]) for one in (cond, negative))
        return {"prompt_embeds": text[None], "negative_prompt_embeds": away[None]}

    def predict(self, noisy: Tensor, t: Tensor, cond: Cond, grid: tuple[int, int]) -> Tensor:
        texts = cut(cond["prompt_embeds"], cond["prompt_mask"])
        rows = zip(noisy.split(1), texts, t.split(1), cond["size"].float().split(1), strict=True)
        return torch.cat(
            [
                self.call_backbone(
                    one, text[None], time, original_size=size[:, :2], target_size=size[:, 4:], crop_coords=size[:, 2:4]
                )
                for one, text, time, size in rows
            ]
        )

    def shift(self, latents: Tensor) -> float:
        config = self.pipeline.scheduler.config
        if not config.use_dynamic_shifting:
            return super().shift(latents)
        tokens = latents.shape[-2:].numel() // self.token_side**2
        mu = calculate_shift(tokens, config.base_image_seq_len, config.base_shift, config.max_shift)
        return mu if config.time_shift_type == "linear" else math.exp(mu)
