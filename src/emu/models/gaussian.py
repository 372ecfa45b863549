"""What latent and pixel diffusion share: a U-Net, Gaussian noise, and a schedule read from the checkpoint."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from diffusers import DDPMScheduler
from torch import Tensor, nn

from emu.errors import UserError
from emu.module import TextToImageModule
from emu.objectives import Predict, ddpm_loss

PREDICTIONS = ("epsilon", "v_prediction", "sample")


class GaussianDiffusion(TextToImageModule):
    """Noise prediction in whichever form the checkpoint was trained for: epsilon, v or sample.

    Args:
        pretrained: as in `TextToImageModule`, like all that is not named here.
        noise_offset: standard deviation of the noise that a whole channel shares; Emu's recipe has 0.1.
        min_snr_gamma: weight losses by min(SNR, gamma); 5 in the literature, None for plain errors.
    """

    slot = "unet"

    def __init__(
        self, pretrained: str, *, noise_offset: float = 0.1, min_snr_gamma: float | None = None, **kwargs: Any
    ) -> None:
        super().__init__(pretrained, **kwargs)
        self.noise_offset = noise_offset
        self.min_snr_gamma = min_snr_gamma

    def build_pipeline(self, networks: Mapping[str, nn.Module]) -> Any:
        pipeline = super().build_pipeline(networks)
        kind = pipeline.scheduler.config.get("prediction_type")
        if kind not in PREDICTIONS:
            raise UserError(
                f"model.pretrained {self.pretrained}: its {type(pipeline.scheduler).__name__} has prediction_type "
                f"{kind}; {type(self).__name__} learns {', '.join(PREDICTIONS)} (see scheduler/scheduler_config.json)"
            )
        return pipeline

    @cached_property
    def noise_schedule(self) -> DDPMScheduler:
        """The schedule that the checkpoint was trained with, apart from the scheduler that samples."""
        schedule: DDPMScheduler = DDPMScheduler.from_config(self.pipeline.scheduler.config)
        return schedule

    def noise_loss(self, predict: Predict, x: Tensor) -> Tensor:
        """`ddpm_loss` as the checkpoint and the constructor have it: (b,)."""
        return ddpm_loss(
            predict, x, self.noise_schedule, noise_offset=self.noise_offset, min_snr_gamma=self.min_snr_gamma
        )
