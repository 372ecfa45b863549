"""Z-Image: a single-stream transformer that reads Qwen3 (arXiv 2511.22699)."""

import torch
from diffusers import ZImagePipeline
from torch import Tensor

from emu.batch import Cond
from emu.models.flow import FlowMatching
from emu.models.padding import cut, pad
from emu.storage.shapes import Arguments


class ZImage(FlowMatching):
    """Its time runs from noise to picture, and its output is the velocity that way; it takes lists of tensors."""

    pipeline_class = ZImagePipeline
    sampler_defaults = {"num_inference_steps": 50, "guidance_scale": 5.0, "max_sequence_length": 512}
    time_scale, time_from_noise, sign = 1.0, True, -1

    def encode_prompts(self, prompts: list[str]) -> Cond:
        length = self.text_length
        embeds, _ = self.pipeline.encode_prompt(
            list(prompts),  # which it writes its template into
            device=self.device,
            do_classifier_free_guidance=False,
            max_sequence_length=length,
        )
        padded, mask = pad(embeds, length)
        return {"prompt_embeds": padded, "prompt_mask": mask}

    def prompt_arguments(self, cond: Cond, negative: Cond) -> Arguments:
        return {
            "prompt_embeds": cut(cond["prompt_embeds"], cond["prompt_mask"]),
            "negative_prompt_embeds": cut(negative["prompt_embeds"], negative["prompt_mask"]),
        }

    @property
    def guides_above(self) -> float:
        return 0.0  # its pipeline guides by 1 + w

    def predict(self, noisy: Tensor, t: Tensor, cond: Cond, grid: tuple[int, int]) -> Tensor:
        texts = cut(cond["prompt_embeds"], cond["prompt_mask"])
        pictures = self.backbone(list(noisy[:, :, None].unbind()), t, texts, return_dict=False)[0]
        return torch.stack(pictures)[:, :, 0]

    def in_template(self, prompt: str) -> str:
        chat = [{"role": "user", "content": prompt}]
        text: str = self.tokenizer.apply_chat_template(
            chat, tokenize=False, add_generation_prompt=True, enable_thinking=True
        )
        return text

    @property
    def token_side(self) -> int:
        return int(self.pipeline.transformer.config.all_patch_size[0])
