"""Kandinsky 5 Image: a transformer with cross-attention to Qwen2.5-VL, on FLUX.1's latents (arXiv 2511.14993)."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from diffusers import Kandinsky5T2IPipeline
from torch import Tensor

from emu.batch import Cond
from emu.models.flow import FlowMatching
from emu.models.latents import scale
from emu.models.padding import cut, lengths, pad
from emu.storage.shapes import Arguments


class Kandinsky5(FlowMatching):
    """It hides no padding, so each caption goes through encoder and transformer at its own length, one at a time."""

    pipeline_class = Kandinsky5T2IPipeline
    sampler_defaults = {"num_inference_steps": 50, "guidance_scale": 3.5, "max_sequence_length": 512}
    optional_parts = ()
    normalise = staticmethod(scale)
    draws_alone = True

    def stand_ins(self) -> Mapping[str, Any]:
        return {"tokenizer": self.tokenizer}  # the folder has it in a processor, whose other parts need torchvision

    def encode_prompts(self, prompts: list[str]) -> Cond:
        length = self.text_length
        rows = [
            self.pipeline.encode_prompt([prompt], max_sequence_length=length, device=self.device) for prompt in prompts
        ]
        padded, mask = pad([text[0] for text, _, _ in rows], length)
        clip = torch.cat([pooled for _, pooled, _ in rows])
        return {"prompt_embeds_qwen": padded, "prompt_embeds_clip": clip, "prompt_mask": mask}

    def prompt_arguments(self, cond: Cond, negative: Cond) -> Arguments:
        return {
            f"{prefix}{name}": value
            for prefix, one in (("", cond), ("negative_", negative))
            for name, value in _arguments(one).items()
        }

    def predict(self, noisy: Tensor, t: Tensor, cond: Cond, grid: tuple[int, int]) -> Tensor:
        texts, pooled = cut(cond["prompt_embeds_qwen"], cond["prompt_mask"]), cond["prompt_embeds_clip"]
        rows = zip(noisy.split(1), t.split(1), texts, pooled.split(1), strict=True)
        return torch.cat([self.predict_one(*row) for row in rows])

    def predict_one(self, noisy: Tensor, t: Tensor, text: Tensor, pooled: Tensor) -> Tensor:
        """As `predict`, of one picture, with its text (n,c): a film of one frame."""
        places = [torch.arange(n, device=noisy.device) for n in (1, *(side // 2 for side in noisy.shape[-2:]))]
        frames = self.backbone(
            hidden_states=noisy.permute(0, 2, 3, 1)[:, None],
            encoder_hidden_states=text[None],
            timestep=t,
            pooled_projections=pooled,
            visual_rope_pos=places,
            text_rope_pos=torch.arange(len(text), device=noisy.device),
        ).sample
        picture: Tensor = frames[:, 0].permute(0, 3, 1, 2)
        return picture

    def size_attributes(self, height: int, width: int) -> Arguments:
        return {"resolutions": [(width, height)]}  # of which it takes the one that is most like what is asked

    @cached_property
    def texts(self) -> Any:
        """The pipeline without its parts: what it puts around a prompt."""
        return self.pipeline_class(*[None] * 7)

    def in_template(self, prompt: str) -> str:
        text: str = self.texts.prompt_template.format(prompt)
        return text

    @property
    def max_tokens(self) -> int:
        return self.text_length + int(self.texts.prompt_template_encode_start_idx)

    @property
    def token_side(self) -> int:
        return int(self.pipeline.transformer.config.patch_size[-1])

    @property
    def size_multiple(self) -> int:
        return int(self.pipeline.vae_scale_factor_spatial * self.token_side)


def _arguments(cond: Cond) -> dict[str, Tensor]:
    """Of one prompt, by the pipeline's names."""
    (length,) = lengths(cond["prompt_mask"])
    return {
        "prompt_embeds_qwen": cond["prompt_embeds_qwen"][:, :length],
        "prompt_embeds_clip": cond["prompt_embeds_clip"],
        "prompt_cu_seqlens": torch.tensor([0, length], dtype=torch.int32),
    }
