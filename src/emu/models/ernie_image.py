"""ERNIE-Image: a single-stream transformer on FLUX.2's latents that reads Ministral 3."""

from diffusers import ErnieImagePipeline
from torch import Tensor

from emu.batch import Cond
from emu.models.flow import FlowMatching
from emu.models.latents import batch_norm
from emu.models.padding import cut, pad
from emu.storage.shapes import Arguments


class ErnieImage(FlowMatching):
    """Captions and prompts are read as they are: the pipeline's own rewriting of prompts is left out."""

    pipeline_class = ErnieImagePipeline
    sampler_defaults = {"num_inference_steps": 50, "guidance_scale": 4.0, "use_pe": False}
    max_tokens = 512

    def latents(self, x: Tensor) -> Tensor:
        return batch_norm(x, self.pipeline.vae, eps=1e-5)  # as the pipeline has it, whatever its autoencoder says

    def encode_prompts(self, prompts: list[str]) -> Cond:
        padded, mask = pad(self.pipeline.encode_prompt(prompts, self.device), self.max_tokens)
        return {"prompt_embeds": padded, "prompt_mask": mask}

    def prompt_arguments(self, cond: Cond, negative: Cond) -> Arguments:
        return {
            "prompt_embeds": cut(cond["prompt_embeds"], cond["prompt_mask"]),
            "negative_prompt_embeds": cut(negative["prompt_embeds"], negative["prompt_mask"]),
        }

    def predict(self, noisy: Tensor, t: Tensor, cond: Cond, grid: tuple[int, int]) -> Tensor:
        texts = cut(cond["prompt_embeds"], cond["prompt_mask"])
        longest = max(len(text) for text in texts)
        counts = cond["prompt_mask"].sum(1)
        return self.call_backbone(noisy, t, cond["prompt_embeds"][:, :longest], counts)
