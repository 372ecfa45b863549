"""Qwen-Image and Krea 2: transformers that share an autoencoder and read Qwen's vision-language models."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from diffusers import Krea2Pipeline, QwenImagePipeline
from torch import Tensor, nn

from emu.batch import Cond
from emu.models.flow import FlowMatching
from emu.models.latents import forget_frames, mean_and_std, places
from emu.models.padding import lengths, pad, trim


class QwenLatents(FlowMatching):
    """What the two share: the autoencoder, which is one of videos, and a prompt inside of a text of the pipeline's."""

    normalise = staticmethod(mean_and_std)
    packed, time_scale = 2, 1.0

    def build_pipeline(self, networks: Mapping[str, nn.Module]) -> Any:
        pipeline = super().build_pipeline(networks)
        forget_frames(pipeline.vae)
        return pipeline

    def encode_images(self, images: Tensor) -> Tensor:  # pixels -> mean and log-variance, (b,2c,h/f,w/f)
        moments: Tensor = self.pipeline.vae.encode(images[:, :, None]).latent_dist.parameters
        return moments[:, :, 0]

    @cached_property
    def texts(self) -> Any:
        """The pipeline without its parts: what it puts around a prompt."""
        return self.pipeline_class(None, None, None, self.tokenizer, None)


class QwenImage(QwenLatents):
    """Qwen-Image (arXiv 2508.02324)."""

    pipeline_class = QwenImagePipeline
    sampler_defaults = {"num_inference_steps": 50, "true_cfg_scale": 4.0, "max_sequence_length": 512}

    def encode_prompts(self, prompts: list[str]) -> Cond:
        length = self.text_length
        embeds, mask = self.pipeline.encode_prompt(prompts, device=self.device, max_sequence_length=length)
        rows = embeds if mask is None else [row[:n] for row, n in zip(embeds, lengths(mask), strict=True)]
        padded, mask = pad(rows, length)
        return {"prompt_embeds": padded, "prompt_embeds_mask": mask}

    def predict(self, noisy: Tensor, t: Tensor, cond: Cond, grid: tuple[int, int]) -> Tensor:
        text, mask = trim(cond["prompt_embeds"], cond["prompt_embeds_mask"])
        return self.call_backbone(
            noisy,
            encoder_hidden_states=text,
            encoder_hidden_states_mask=mask,
            timestep=t,
            img_shapes=[[(1, *grid)]] * len(noisy),
        )

    def in_template(self, prompt: str) -> str:
        text: str = self.texts.prompt_template_encode.format(prompt)
        return text

    @property
    def max_tokens(self) -> int:
        return self.text_length + int(self.texts.prompt_template_encode_start_idx)


class Krea2(QwenLatents):
    """Krea 2: several layers of Qwen3-VL, which the transformer puts together by itself; tune its raw checkpoint."""

    pipeline_class = Krea2Pipeline
    sampler_defaults = {"num_inference_steps": 28, "guidance_scale": 4.5, "max_sequence_length": 512}

    def encode_prompts(self, prompts: list[str]) -> Cond:
        embeds, mask = self.pipeline.encode_prompt(prompts, device=self.device, max_sequence_length=self.text_length)
        return {"prompt_embeds": embeds, "prompt_embeds_mask": mask}

    @property
    def guides_above(self) -> float:
        return 0.0  # as Z-Image's

    def predict(self, noisy: Tensor, t: Tensor, cond: Cond, grid: tuple[int, int]) -> Tensor:
        text = cond["prompt_embeds"]
        return self.call_backbone(
            noisy,
            encoder_hidden_states=text,
            encoder_attention_mask=cond["prompt_embeds_mask"],
            timestep=t,
            position_ids=torch.cat([noisy.new_zeros(text.shape[1], 3), places(*grid, noisy.device)]),
        )

    def in_template(self, prompt: str) -> str:
        text: str = self.texts.prompt_template_encode_prefix + prompt
        return text

    @property
    def max_tokens(self) -> int:
        texts = self.texts  # the tokens after a prompt come after the cut
        extra = texts.prompt_template_encode_start_idx - texts.prompt_template_encode_num_suffix_tokens
        return self.text_length + int(extra)
