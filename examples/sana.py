"""SANA, an architecture of your own: one class in one file, outside of the package.

    emu fit -c sana.yaml --trust sana    # with model.class_path: sana.Sana, run from the folder of this file

Xie et al. 2024, arXiv 2410.10629.
"""

from diffusers import SanaPipeline
from torch import Tensor

from emu import TextToImageModule
from emu.objectives import flow_matching_loss
from emu.objectives.shift import shift_of


class Sana(TextToImageModule):
    """A linear-attention transformer on a 32-fold autoencoder, which reads Gemma."""

    pipeline_class = SanaPipeline
    slot = "transformer"
    sampler_defaults = {
        "num_inference_steps": 20,
        "guidance_scale": 4.5,
        "use_resolution_binning": False,
        "complex_human_instruction": False,  # captions as they are, in tuning and in drawing
    }
    max_tokens = 300

    def encode_images(self, images: Tensor) -> Tensor:
        return self.pipeline.vae.encode(images).latent * self.pipeline.vae.config.scaling_factor

    def encode_prompts(self, prompts: list[str]) -> dict[str, Tensor]:
        embeds, mask, _, _ = self.pipeline.encode_prompt(prompts, False, device=self.device)
        return {"prompt_embeds": embeds, "prompt_attention_mask": mask}

    def loss(self, x: Tensor, cond: dict[str, Tensor]) -> Tensor:
        def predict(noisy: Tensor, sigmas: Tensor) -> Tensor:
            t = sigmas * 1000 * self.backbone.config.timestep_scale
            text, mask = cond["prompt_embeds"], cond["prompt_attention_mask"]
            return self.backbone(noisy, text, t, encoder_attention_mask=mask, return_dict=False)[0]

        return flow_matching_loss(predict, x, shift=shift_of(self.pipeline.scheduler, tokens=x[0, 0].numel()))

    @property
    def size_multiple(self) -> int:
        return self.pipeline.vae_scale_factor * self.pipeline.transformer.config.patch_size
