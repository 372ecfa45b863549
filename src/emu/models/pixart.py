"""PixArt-Sigma: a transformer that learns noise on SDXL's latents and reads T5 (arXiv 2403.04692)."""

from diffusers import PixArtSigmaPipeline
from torch import Tensor

from emu.batch import Cond
from emu.models.latent import LatentDiffusion


class PixArtSigma(LatentDiffusion):
    """The variance that follows the noise in its output stays as it was: the pipeline draws without it."""

    pipeline_class = PixArtSigmaPipeline
    slot = "transformer"
    sampler_defaults = {
        "num_inference_steps": 20,
        "guidance_scale": 4.5,
        "max_sequence_length": 300,
        "use_resolution_binning": False,
        "clean_caption": False,  # it would rewrite prompts where two more packages are installed, and only there
    }

    def encode_prompts(self, prompts: list[str]) -> Cond:
        embeds, mask, _, _ = self.pipeline.encode_prompt(
            prompts,
            do_classifier_free_guidance=False,
            device=self.device,
            max_sequence_length=int(self.sampler["max_sequence_length"]),
        )
        return {"prompt_embeds": embeds, "prompt_attention_mask": mask}

    def predict(self, noisy: Tensor, t: Tensor, cond: Cond) -> Tensor:
        return self.call_backbone(
            noisy,
            encoder_hidden_states=cond["prompt_embeds"],
            encoder_attention_mask=cond["prompt_attention_mask"],
            timestep=t,
            added_cond_kwargs={"resolution": None, "aspect_ratio": None},
        )

    @property
    def max_tokens(self) -> int:
        return min(int(self.sampler["max_sequence_length"]), super().max_tokens)

    @property
    def size_multiple(self) -> int:
        return int(self.pipeline.vae_scale_factor * self.pipeline.transformer.config.patch_size)
