"""HiDream-I1: a sparse transformer of experts that reads CLIP twice, T5 and every layer of Llama (arXiv 2505.22705)."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusers import HiDreamImagePipeline
from torch import Tensor, nn

from emu.batch import Cond
from emu.errors import UserError
from emu.models.flow import FlowMatching
from emu.objectives.shift import shift_of
from emu.pipeline_folders import folders
from emu.pipeline_folders.components import used
from emu.storage.shapes import Arguments

WHOLE = (
    "its folder is published without Llama; make it whole once: HiDreamImagePipeline.from_pretrained(NAME, "
    "text_encoder_4=LlamaForCausalLM.from_pretrained(LLAMA), tokenizer_4=AutoTokenizer.from_pretrained(LLAMA))"
    ".save_pretrained(FOLDER), where LLAMA is meta-llama/Llama-3.1-8B-Instruct"
)


class HiDream(FlowMatching):
    """Its output is the velocity from noise to picture; what Llama makes of a caption is cached layer by layer."""

    pipeline_class = HiDreamImagePipeline
    tokenizer_name = "tokenizer_3"
    optional_parts = ()
    sampler_defaults = {"num_inference_steps": 50, "guidance_scale": 5.0, "max_sequence_length": 128}
    sign = -1

    def check_class(self, folder: Path) -> None:
        super().check_class(folder)
        if "text_encoder_4" not in used(folders.read_index(folder)):
            raise UserError(f"model.pretrained {self.pretrained}: {WHOLE}")

    def build_pipeline(self, networks: Mapping[str, nn.Module]) -> Any:
        pipeline = super().build_pipeline(networks)
        # While it trains it would give tokens, not pictures. Its experts keep their own switch: told to, they would
        # learn nothing, since diffusers computes them without gradients then.
        pipeline.transformer.register_to_config(force_inference_output=True)
        return pipeline

    def encode_prompts(self, prompts: list[str]) -> Cond:
        t5, _, llama, _, pooled, _ = self.pipeline.encode_prompt(
            prompts, device=self.device, do_classifier_free_guidance=False, max_sequence_length=self.text_length
        )
        return {"prompt_embeds_t5": t5, "prompt_embeds_llama3": llama.transpose(0, 1), "pooled_prompt_embeds": pooled}

    def prompt_arguments(self, cond: Cond, negative: Cond) -> Arguments:
        given = super().prompt_arguments(cond, negative)
        return {name: value.transpose(0, 1) if "llama3" in name else value for name, value in given.items()}

    def predict(self, noisy: Tensor, t: Tensor, cond: Cond, grid: tuple[int, int]) -> Tensor:
        return self.call_backbone(
            noisy,
            timesteps=t,
            encoder_hidden_states_t5=cond["prompt_embeds_t5"],
            encoder_hidden_states_llama3=cond["prompt_embeds_llama3"].transpose(0, 1),
            pooled_embeds=cond["pooled_prompt_embeds"],
        )

    def shift(self, latents: Tensor) -> float:
        return shift_of(self.pipeline.scheduler, tokens=self.pipeline.transformer.max_seq)  # whatever the size

    def size_attributes(self, height: int, width: int) -> Arguments:
        side = math.sqrt(height * width) / self.pipeline.vae_scale_factor
        return {"default_sample_size": math.nextafter(side, math.inf)}  # by its area the pipeline scales what is asked
