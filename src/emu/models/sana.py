"""SANA: a linear-attention transformer on a 32-fold autoencoder, which reads Gemma 2 (arXiv 2410.10629)."""

from diffusers import SanaPipeline
from torch import Tensor

from emu.batch import Cond
from emu.models.flow import FlowMatching


class Sana(FlowMatching):
    """Captions stand after the instruction that the pipeline has by default, in tuning as in drawing."""

    pipeline_class = SanaPipeline
    sampler_defaults = {
        "num_inference_steps": 20,
        "guidance_scale": 4.5,
        "use_resolution_binning": False,
        "max_sequence_length": 300,
    }

    def encode_images(self, images: Tensor) -> Tensor:  # pixels -> latents, (b,c,h/32,w/32)
        latents: Tensor = self.pipeline.vae.encode(images).latent
        return latents

    def latents(self, x: Tensor) -> Tensor:
        scaling_factor: float = self.pipeline.vae.config.scaling_factor
        return x * scaling_factor

    def encode_prompts(self, prompts: list[str]) -> Cond:
        return self.encoded(prompts, self.instruction)

    def encode_negatives(self, prompts: list[str]) -> Cond:
        """Without the instruction."""
        return self.encoded(prompts, None)

    def encoded(self, prompts: list[str], instruction: list[str] | None) -> Cond:
        """Prompts after an instruction."""
        embeds, mask, _, _ = self.pipeline.encode_prompt(
            prompts,
            do_classifier_free_guidance=False,
            device=self.device,
            max_sequence_length=self.text_length,
            complex_human_instruction=instruction,
        )
        return {"prompt_embeds": embeds, "prompt_attention_mask": mask}

    def predict(self, noisy: Tensor, t: Tensor, cond: Cond, grid: tuple[int, int]) -> Tensor:
        output = self.call_backbone(
            noisy,
            encoder_hidden_states=cond["prompt_embeds"],
            encoder_attention_mask=cond["prompt_attention_mask"],
            timestep=t * self.pipeline.transformer.config.timestep_scale,
        )
        return output[:, : noisy.shape[1]]  # where a variance follows, it is not used

    @property
    def instruction(self) -> list[str] | None:
        """The lines before a caption; `sampler.complex_human_instruction: false` leaves them out."""
        default = self.call_parameters()["complex_human_instruction"].default
        given: list[str] | None = self.sampler.get("complex_human_instruction", default) or None
        return given

    def in_template(self, prompt: str) -> str:
        return "\n".join(self.instruction or []) + prompt.lower().strip()

    @property
    def max_tokens(self) -> int:
        if self.instruction is None:
            return self.text_length
        return self.text_length + len(self.tokenizer.encode("\n".join(self.instruction))) - 2
