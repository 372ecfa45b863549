"""Flow matching: Stable Diffusion 3, a transformer on latents.

Esser et al. 2024, arXiv 2403.03206.
"""

from collections.abc import Mapping
from typing import Any

from diffusers import StableDiffusion3Pipeline
from torch import Tensor, nn

from emu.architecture import Cond
from emu.errors import UserError
from emu.module import TextToImageModule
from emu.objectives import draw_posterior, flow_matching_loss


class FlowMatching(TextToImageModule):
    """The velocity from picture to noise; the scheduler's shift is read from the checkpoint.

    Args:
        pretrained: as in `TextToImageModule`, like all that is not named here.
        noise_offset: standard deviation of the noise that a whole channel shares.
        logit_mean: of the logit of the noise level, before the shift.
        logit_std: of the logit of the noise level.
    """

    pipeline_class = StableDiffusion3Pipeline
    slot = "transformer"
    optional_parts = ("text_encoder_3", "tokenizer_3")  # T5, which takes most of the memory
    sampler_defaults = {"num_inference_steps": 28, "guidance_scale": 7.0}

    def __init__(
        self,
        pretrained: str,
        *,
        noise_offset: float = 0.0,
        logit_mean: float = 0.0,
        logit_std: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(pretrained, **kwargs)
        self.noise_offset = noise_offset
        self.logit_mean = logit_mean
        self.logit_std = logit_std

    def build_pipeline(self, networks: Mapping[str, nn.Module]) -> Any:
        pipeline = super().build_pipeline(networks)
        if "shift" not in pipeline.scheduler.config:
            raise UserError(
                f"model.pretrained {self.pretrained}: its {type(pipeline.scheduler).__name__} is no flow matching "
                "scheduler; see scheduler/scheduler_config.json"
            )
        return pipeline

    def encode_images(self, images: Tensor) -> Tensor:  # pixels -> mean and log-variance, (b,2c,h/f,w/f)
        moments: Tensor = self.pipeline.vae.encode(images).latent_dist.parameters
        return moments

    def encode_prompts(self, prompts: list[str]) -> Cond:
        embeds, _, pooled, _ = self.pipeline.encode_prompt(
            prompts, None, None, device=self.device, do_classifier_free_guidance=False
        )
        return {"prompt_embeds": embeds, "pooled_prompt_embeds": pooled}

    def loss(self, x: Tensor, cond: Cond) -> Tensor:
        vae, schedule = self.pipeline.vae.config, self.pipeline.scheduler.config
        latents = (draw_posterior(x) - vae.shift_factor) * vae.scaling_factor

        def predict(noisy: Tensor, sigmas: Tensor) -> Tensor:
            velocity: Tensor = self.backbone(
                noisy,
                cond["prompt_embeds"],
                cond["pooled_prompt_embeds"],
                sigmas * schedule.num_train_timesteps,
                return_dict=False,
            )[0]
            return velocity

        return flow_matching_loss(
            predict,
            latents,
            shift=schedule.shift,
            mean=self.logit_mean,
            std=self.logit_std,
            noise_offset=self.noise_offset,
        )

    @property
    def size_multiple(self) -> int:
        return int(self.pipeline.vae_scale_factor * self.pipeline.transformer.config.patch_size)
