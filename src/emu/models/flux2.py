"""FLUX.2: dev, which takes a guidance scale as an input and no negative prompt, and klein, which is guided by one."""

import math

from diffusers import Flux2KleinPipeline, Flux2Pipeline
from diffusers.pipelines.flux2.pipeline_flux2 import compute_empirical_mu
from torch import Tensor

from emu.batch import Cond
from emu.models.flux import GuidanceInput
from emu.models.latents import batch_norm, places

MANY_STEPS = 200  # for which the schedule's formula has a line; of fewer it asks more shift, to draw and not to learn


class Flux2(GuidanceInput):
    """FLUX.2-dev, which reads layers of Mistral 3."""

    pipeline_class = Flux2Pipeline
    sampler_defaults = {"num_inference_steps": 50, "guidance_scale": 4.0, "max_sequence_length": 512}
    normalise = staticmethod(batch_norm)
    packed, time_scale = 1, 1.0

    def encode_prompts(self, prompts: list[str]) -> Cond:
        embeds, _ = self.pipeline.encode_prompt(prompts, device=self.device, max_sequence_length=self.text_length)
        return {"prompt_embeds": embeds}

    @property
    def guides_above(self) -> float:
        return math.inf  # the scale is an input of the network

    def shift(self, latents: Tensor) -> float:
        if not self.pipeline.scheduler.config.use_dynamic_shifting:
            return super().shift(latents)
        return math.exp(compute_empirical_mu(latents.shape[-2:].numel(), MANY_STEPS))

    def predict(self, noisy: Tensor, t: Tensor, cond: Cond, grid: tuple[int, int]) -> Tensor:
        text = cond["prompt_embeds"]
        return self.call_backbone(
            noisy,
            encoder_hidden_states=text,
            timestep=t,
            guidance=self.guidance_input(t),
            img_ids=places(*grid, noisy.device, axes=4),
            txt_ids=places(1, text.shape[1], noisy.device, axes=4).roll(1, dims=1),  # the last axis counts them
        )

    @property
    def size_multiple(self) -> int:
        return int(2 * self.pipeline.vae_scale_factor)


class Flux2Klein(Flux2):
    """FLUX.2 klein, which reads layers of Qwen3; tune a base, which is not distilled."""

    pipeline_class = Flux2KleinPipeline

    @property
    def guides_above(self) -> float:
        return math.inf if self.pipeline.config.is_distilled else 1.0

    def in_template(self, prompt: str) -> str:
        chat = [{"role": "user", "content": prompt}]
        text: str = self.tokenizer.apply_chat_template(
            chat, tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
        return text
