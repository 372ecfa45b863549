"""Qwen-Image 2.1: one stream of text and picture, whose autoencoder knows transparency (diffusers 0.42)."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from diffusers import QwenImage21Pipeline
from torch import Tensor, nn

from emu.batch import Cond
from emu.models.flow import FlowMatching
from emu.models.latents import forget_frames, mean_and_std
from emu.models.padding import cut, lengths, pad
from emu.parts.text_processor import TextProcessor
from emu.storage.shapes import Arguments


class QwenImage21(FlowMatching):
    """Guided in one pass as published, so that it draws without guidance unless `sampler.true_cfg_scale` is above 1.

    Where the picture lies depends on how long the text before it is, padding counted: the transformer is given each
    picture alone, as the pipeline is given one prompt.
    """

    pipeline_class = QwenImage21Pipeline
    tokenizer_name = "processor"
    sampler_defaults = {"num_inference_steps": 40, "true_cfg_scale": 1.0}
    optional_parts = ()
    normalise = staticmethod(mean_and_std)
    packed, time_scale = 1, 1.0
    draws_alone = True

    def build_pipeline(self, networks: Mapping[str, nn.Module]) -> Any:
        pipeline = super().build_pipeline(networks)
        forget_frames(pipeline.vae)
        return pipeline

    def stand_ins(self) -> Mapping[str, Any]:
        return {"processor": self.processor}

    @cached_property
    def processor(self) -> TextProcessor:
        """The folder's, of which texts need the tokenizer and the chat's template."""
        found: TextProcessor = TextProcessor.from_pretrained(self.folder / self.tokenizer_name)
        return found

    @cached_property
    def texts(self) -> Any:
        """The pipeline without its networks: what it puts around a prompt."""
        return self.pipeline_class(None, None, None, self.processor, None)

    def encode_images(self, images: Tensor) -> Tensor:  # pixels -> mean and log-variance, (b,2c,h/f,w/f)
        opaque = torch.cat([images, torch.ones_like(images[:, :1])], dim=1)
        moments: Tensor = self.pipeline.vae.encode(opaque[:, :, None]).latent_dist.parameters
        return moments[:, :, 0]

    def encode_prompts(self, prompts: list[str]) -> Cond:
        embeds, mask, _ = self.pipeline.encode_prompt(prompts, device=self.device)
        rows = embeds if mask is None else [row[:n] for row, n in zip(embeds, lengths(mask), strict=True)]
        padded, mask = pad(rows, self.text_length)
        return {"prompt_embeds": padded, "prompt_embeds_mask": mask}

    def prompt_arguments(self, cond: Cond, negative: Cond) -> Arguments:
        sides = {"": cond, **({"negative_": negative} if self.is_guided else {})}
        return {
            f"{side}prompt_embeds": cut(one["prompt_embeds"], one["prompt_embeds_mask"])[0][None]
            for side, one in sides.items()
        }

    def plain_arguments(self, prompt: str) -> Arguments:
        arguments = super().plain_arguments(prompt)
        return arguments if self.is_guided else {k: v for k, v in arguments.items() if k != "negative_prompt"}

    @property
    def is_guided(self) -> bool:
        """Whether the pipeline is to lead away from a negative prompt, which it warns of where it does not."""
        return float(self.sampler["true_cfg_scale"]) > 1

    def predict(self, noisy: Tensor, t: Tensor, cond: Cond, grid: tuple[int, int]) -> Tensor:
        texts = cut(cond["prompt_embeds"], cond["prompt_embeds_mask"])
        rows = zip(noisy.split(1), t.split(1), texts, strict=True)
        return torch.cat([self.predict_one(*row, grid) for row in rows])

    def predict_one(self, noisy: Tensor, t: Tensor, text: Tensor, grid: tuple[int, int]) -> Tensor:
        """As `predict`, of one picture, with its text (n,c)."""
        tokens = noisy.shape[1]
        place = torch.arange(len(text) + tokens // 4, device=text.device)  # one of the text's is four of the picture's
        joined = self.call_backbone(
            noisy,
            encoder_hidden_states=text[None],
            timestep=t,
            img_shapes=[[(1, *grid)]],
            img_mask=place[None] >= len(text),
        )
        return joined[:, -tokens:]

    def in_template(self, prompt: str) -> str:
        text: str = self.texts.prompt_template_t2i.format(prompt or " ")
        return text

    @property
    def text_length(self) -> int:
        """Tokens of a prompt in its template that are read; the pipeline by itself knows no end."""
        return 512

    @property
    def max_tokens(self) -> int:
        return self.text_length + int(self.texts._drop_idx)

    @property
    def size_multiple(self) -> int:
        return int(2 * self.pipeline.vae_scale_factor)
