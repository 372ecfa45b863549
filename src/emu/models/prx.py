"""PRX: a transformer that reads T5Gemma, on latents; and PRXPixel, which draws pixels and has no autoencoder.

https://github.com/Photoroom/PRX. Both clean their prompts with `ftfy`, a package that has to be installed for them.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from diffusers import PRXPipeline, PRXPixelPipeline
from diffusers.utils import is_ftfy_available
from torch import Tensor, nn

from emu.batch import Cond
from emu.errors import UserError
from emu.models.flow import FlowMatching
from emu.objectives import draw_sigmas, mean_square, offset_noise
from emu.pipeline_folders import folders


class PRX(FlowMatching):
    """On the latents of FLUX's autoencoder or of SANA's, whichever lies in the folder."""

    pipeline_class = PRXPipeline
    sampler_defaults = {"num_inference_steps": 28, "guidance_scale": 4.0, "use_resolution_binning": False}
    time_scale = 1.0
    draws_alone = True  # guided, diffusers' pipeline takes no more

    def build_pipeline(self, networks: Mapping[str, nn.Module]) -> Any:
        if not is_ftfy_available():
            raise UserError(f"{self.pipeline_class.__name__} cleans its prompts with ftfy: pip install ftfy")
        return super().build_pipeline(networks)

    def encode_images(self, images: Tensor) -> Tensor:
        encoded = self.pipeline.vae.encode(images)
        x: Tensor = encoded.latent_dist.parameters if "latent_dist" in encoded else encoded.latent
        return x

    def latents(self, x: Tensor) -> Tensor:
        config = self.pipeline.vae.config
        if "shift_factor" in config:
            return super().latents(x)
        scaling_factor: float = config.scaling_factor
        return x * scaling_factor

    def encode_prompts(self, prompts: list[str]) -> Cond:
        embeds, mask, _, _ = self.pipeline.encode_prompt(prompts, device=self.device, do_classifier_free_guidance=False)
        return {"prompt_embeds": embeds, "prompt_attention_mask": mask}

    def predict(self, noisy: Tensor, t: Tensor, cond: Cond, grid: tuple[int, int]) -> Tensor:
        return self.call_backbone(noisy, t, cond["prompt_embeds"], cond["prompt_attention_mask"])

    @property
    def max_tokens(self) -> int:
        return int(self.tokenizer.model_max_length)


class PRXPixel(PRX):
    """On pixels: the transformer predicts the picture, and learns by the velocity that follows from it.

    Li and He 2025, arXiv 2511.13720. The noise is larger than normal, by the pipeline's `noise_scale`.
    """

    pipeline_class = PRXPixelPipeline
    least_time = 0.05  # what the prediction is divided by at least, as the pipeline and its training have it

    def encode_images(self, images: Tensor) -> Tensor:
        return images

    def loss(self, x: Tensor, cond: Cond) -> Tensor:
        sigmas = draw_sigmas(len(x), x.device, shift=self.shift(x), mean=self.logit_mean, std=self.logit_std)
        noise = self.pipeline.config.noise_scale * offset_noise(x, self.noise_offset)
        sigma = sigmas.view(-1, 1, 1, 1)
        clean = self.velocity((1 - sigma) * x + sigma * noise, sigmas, cond)
        return mean_square(clean, x) / sigmas.clamp(min=self.least_time).square()

    def sample(self, *args: Any, **kwargs: Any) -> Tensor:
        """As in the contract; the pipeline gives tensors in [-1,1]."""
        return (super().sample(*args, **kwargs) / 2 + 0.5).clamp(0, 1)

    @property
    def max_tokens(self) -> int:
        default = inspect.signature(self.pipeline_class.__init__).parameters["prompt_max_tokens"].default
        return int(folders.read_index(self.folder).get("prompt_max_tokens", default))
