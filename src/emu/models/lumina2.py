"""Lumina-Image 2.0: a single-stream transformer that reads Gemma 2 (arXiv 2503.21758)."""

from diffusers import Lumina2Pipeline
from torch import Tensor

from emu.batch import Cond
from emu.models.flow import FlowMatching

# Of the pipeline's own, which says it only once it is built.
SYSTEM_PROMPT = (
    "You are an assistant designed to generate superior images with the superior degree of image-text alignment based "
    "on textual prompts or user prompts."
)


class Lumina2(FlowMatching):
    """Its time runs from noise to picture, and its output is the velocity that way."""

    pipeline_class = Lumina2Pipeline
    sampler_defaults = {"num_inference_steps": 30, "guidance_scale": 4.0, "max_sequence_length": 256}
    time_scale, time_from_noise, sign = 1.0, True, -1

    def encode_prompts(self, prompts: list[str]) -> Cond:
        return self.encoded([self.in_template(prompt) for prompt in prompts])

    def encode_negatives(self, prompts: list[str]) -> Cond:
        """Without the system prompt that captions have."""
        return self.encoded(prompts)

    def encoded(self, texts: list[str]) -> Cond:
        """Texts as they are."""
        embeds, mask = self.pipeline._get_gemma_prompt_embeds(texts, self.device, self.text_length)
        return {"prompt_embeds": embeds, "prompt_attention_mask": mask}

    def predict(self, noisy: Tensor, t: Tensor, cond: Cond, grid: tuple[int, int]) -> Tensor:
        return self.call_backbone(noisy, t, cond["prompt_embeds"], cond["prompt_attention_mask"])

    def in_template(self, prompt: str) -> str:
        return f"{SYSTEM_PROMPT} <Prompt Start> {prompt}"
