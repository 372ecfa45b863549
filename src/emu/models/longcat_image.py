"""LongCat-Image: FLUX.1's transformer without the guidance input, which reads Qwen2.5-VL (arXiv 2512.07584)."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from diffusers import LongCatImagePipeline
from diffusers.pipelines.longcat_image.pipeline_longcat_image import split_quotation
from torch import Tensor, nn

from emu.batch import Cond
from emu.models.flow import FlowMatching
from emu.models.latents import places


class LongCatImage(FlowMatching):
    """Every prompt takes 512 tokens; padding is not hidden. What stands in quotation marks is read letter by letter."""

    pipeline_class = LongCatImagePipeline
    sampler_defaults = {"num_inference_steps": 50, "guidance_scale": 4.5, "enable_prompt_rewrite": False}
    optional_parts = ("text_processor",)
    packed, time_scale = 2, 1.0

    def build_pipeline(self, networks: Mapping[str, nn.Module]) -> Any:
        pipeline = super().build_pipeline(networks)
        theirs = pipeline.encode_prompt

        def encode_prompt(
            prompt: list[str] | None = None, num_images_per_prompt: int = 1, prompt_embeds: Tensor | None = None
        ) -> Any:
            # diffusers counts the prompts where embeddings are given in their place, and there are none.
            texts = prompt if prompt_embeds is None else [""] * len(prompt_embeds)
            return theirs(texts, num_images_per_prompt, prompt_embeds)

        pipeline.encode_prompt = encode_prompt
        return pipeline

    def stand_ins(self) -> Mapping[str, Any]:
        return {"text_processor": None}  # rewrites prompts alone, and needs torchvision

    def encode_prompts(self, prompts: list[str]) -> Cond:
        embeds, _ = self.pipeline.encode_prompt(prompts)
        return {"prompt_embeds": embeds}

    def predict(self, noisy: Tensor, t: Tensor, cond: Cond, grid: tuple[int, int]) -> Tensor:
        length = cond["prompt_embeds"].shape[1]
        return self.call_backbone(
            noisy,
            encoder_hidden_states=cond["prompt_embeds"],
            timestep=t,
            img_ids=places(*grid, noisy.device) + noisy.new_tensor([1, length, length]),  # behind the text
            txt_ids=places(1, length, noisy.device)[:, [0, 2, 2]],  # a token's row is its column
        )

    def token_counts(self, prompts: list[str]) -> list[int]:
        return [self.count(prompt) for prompt in prompts]

    def count(self, prompt: str) -> int:
        """Tokens of a prompt, without the template."""
        parts = split_quotation(prompt)
        texts = [text for part, quoted in parts for text in ([*part] if quoted else [part])]
        found = self.tokenizer(text=texts, add_special_tokens=False, verbose=False)["input_ids"] if texts else []
        return sum(map(len, found))

    @cached_property
    def text_length(self) -> int:
        return int(self.pipeline_class(*[None] * 6).tokenizer_max_length)
