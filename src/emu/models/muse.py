"""Masked token transformers: aMUSEd, an open Muse.

Chang et al. 2023, arXiv 2301.00704; Patil et al. 2024, arXiv 2401.01808. Notable: diffusers has deprecated its
AmusedPipeline, so the decoding loop is here; it draws what theirs draws.
"""

from collections.abc import Sequence

import torch
from diffusers import AmusedScheduler, DiffusionPipeline, UVit2DModel, VQModel
from torch import Tensor
from transformers import CLIPTextModelWithProjection, CLIPTokenizer

from emu.batch import Cond
from emu.module import TextToImageModule
from emu.module.architecture import generators
from emu.objectives import masked_token_loss
from emu.parts import masked
from emu.storage.shapes import Arguments

AESTHETIC_SCORE = 6  # the pipeline's default for the score that aMUSEd is conditioned on


class AmusedPipeline(DiffusionPipeline):
    """The components of diffusers' AmusedPipeline, read and written under its name, without its deprecated code."""

    def __init__(
        self,
        vqvae: VQModel,
        tokenizer: CLIPTokenizer,
        text_encoder: CLIPTextModelWithProjection,
        transformer: UVit2DModel,
        scheduler: AmusedScheduler,
    ) -> None:
        super().__init__()
        self.register_modules(
            vqvae=vqvae, tokenizer=tokenizer, text_encoder=text_encoder, transformer=transformer, scheduler=scheduler
        )


class Muse(TextToImageModule):
    """A transformer that fills in masked tokens of a vector-quantised autoencoder."""

    pipeline_class = AmusedPipeline
    slot = "transformer"
    sampler_defaults = {"num_inference_steps": 12, "guidance_scale": 10.0}
    beyond_plain = frozenset({"guidance_scale_start"})

    def encode_images(self, images: Tensor) -> Tensor:  # pixels -> tokens, int64 (b,h/f,w/f)
        return masked.tokens_of(self.pipeline.vqvae, images)

    def encode_prompts(self, prompts: list[str]) -> Cond:
        tokenizer = self.pipeline.tokenizer
        ids = tokenizer(
            prompts, padding="max_length", truncation=True, max_length=tokenizer.model_max_length, return_tensors="pt"
        ).input_ids
        encoded = self.pipeline.text_encoder(ids.to(self.device), output_hidden_states=True)
        return {"prompt_embeds": encoded.text_embeds, "encoder_hidden_states": encoded.hidden_states[-2]}

    def loss(self, x: Tensor, cond: Cond) -> Tensor:
        height, width, top, left = cond["size"][:, :4].unbind(1)
        score = torch.full_like(height, AESTHETIC_SCORE)
        micro = torch.stack([width, height, top, left, score], dim=1)  # width first, as aMUSEd has it
        mask_id = self.pipeline.scheduler.config.mask_token_id
        return masked_token_loss(lambda tokens: self._logits(self.backbone, tokens, cond, micro), x, mask_id=mask_id)

    @torch.no_grad()
    def sample(
        self,
        cond: Cond,
        negative: Cond,
        seeds: Sequence[int] | Tensor,
        *,
        height: int | None = None,
        width: int | None = None,
    ) -> Tensor:
        """As in the contract, by `masked.fill_in`."""
        side = self.resolution or self.pipeline.transformer.config.sample_size * self.token_size
        height, width = int(height or side), int(width or side)
        micro = torch.tensor([[width, height, 0, 0, AESTHETIC_SCORE]], device=self.device)
        both = {key: torch.cat([negative[key].expand_as(cond[key]), cond[key]]) for key in negative}
        tokens = masked.fill_in(
            lambda tokens, scale: self._guided(tokens, both, micro, scale),
            (len(seeds), height // self.token_size, width // self.token_size),
            scheduler=self.pipeline.scheduler,
            scales=self._scales(),
            generators=generators(seeds),
            temperature=self.sampler.get("temperature", (2, 0)),
            device=self.device,
        )
        return masked.pixels(self.pipeline.vqvae, tokens)

    def plain_arguments(self, prompt: str) -> Arguments:
        return {"prompt": prompt, **self.plain_sampler(self.sampler)}

    def _scales(self) -> list[float]:
        steps, last = int(self.sampler["num_inference_steps"]), float(self.sampler["guidance_scale"])
        return masked.scales(steps, last, float(self.sampler.get("guidance_scale_start", last)))

    def _guided(self, tokens: Tensor, both: Cond, micro: Tensor, scale: float) -> Tensor:
        network = self.pipeline.transformer
        if scale <= 1:
            return self._logits(network, tokens, {key: both[key][len(tokens) :] for key in both}, micro)
        without, with_text = self._logits(network, torch.cat([tokens] * 2), both, micro).chunk(2)
        return without + scale * (with_text - without)

    def _logits(self, network: torch.nn.Module, tokens: Tensor, cond: Cond, micro: Tensor) -> Tensor:
        text, pooled = cond["encoder_hidden_states"], cond["prompt_embeds"]
        logits: Tensor = network(tokens, text, pooled, micro.to(text.dtype).expand(len(tokens), -1))
        return logits

    @property
    def token_size(self) -> int:
        """Side in pixels of what one token stands for."""
        return masked.token_size(self.pipeline.vqvae)

    @property
    def size_multiple(self) -> int:
        return self.token_size * (2 if self.pipeline.transformer.config.downsample else 1)

    def sampler_names(self) -> set[str]:
        return {"num_inference_steps", "guidance_scale", "temperature", *self.beyond_plain}
