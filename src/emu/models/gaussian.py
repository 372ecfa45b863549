"""What latent and pixel diffusion share: Gaussian noise, and a schedule read from the checkpoint."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from diffusers import DDPMScheduler
from torch import Tensor, nn

from emu.batch import Cond
from emu.errors import UserError
from emu.module import TextToImageModule
from emu.objectives import ddpm_loss

PREDICTIONS = ("epsilon", "v_prediction", "sample")
DISTILLED = ("LCMScheduler", "TCDScheduler")


class GaussianDiffusion(TextToImageModule):
    """Noise prediction in whichever form the checkpoint was trained for: epsilon, v or sample.

    Args:
        pretrained: as in `TextToImageModule`, like all that is not named here.
        noise_offset: standard deviation of the noise that a whole channel shares; Emu's recipe has 0.1.
        min_snr_gamma: weight losses by min(SNR, gamma); 5 in the literature, None for the plain error.
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
        if reason := self.untrainable(pipeline):
            raise UserError(f"model.pretrained {self.pretrained}: {reason}")
        return pipeline

    def untrainable(self, pipeline: Any) -> str | None:
        """Why the checkpoint cannot be trained as it was trained, of all that its configs say; None where it can."""
        kind, scheduler = type(pipeline.scheduler).__name__, pipeline.scheduler.config
        network = getattr(pipeline, self.slot).config
        where = "see scheduler/scheduler_config.json"
        if "sigma_data" in scheduler or scheduler.get("timestep_type") == "continuous":
            return (
                f"its {kind} is EDM's, whose network takes inputs scaled by the noise level, and its logarithm for a "
                f"time; {type(self).__name__} learns at the integer times of a DDPM schedule alone ({where})"
            )
        if scheduler.get("use_flow_sigmas"):
            return (
                f"its {kind} has use_flow_sigmas, so it learned a flow, which {type(self).__name__} does not ({where})"
            )
        if scheduler.get("prediction_type") not in PREDICTIONS:
            return (
                f"its {kind} has prediction_type {scheduler.get('prediction_type')}; {type(self).__name__} learns "
                f"{', '.join(PREDICTIONS)} ({where})"
            )
        if kind in DISTILLED or network.get("time_cond_proj_dim") is not None:
            return "it is distilled to draw in few steps, which tuning would undo; tune the model that it was made from"
        try:
            schedule_of(pipeline.scheduler)
        except (NotImplementedError, ValueError) as error:
            return f"its {kind} has no schedule to train on ({error}; {where})"
        return None

    @cached_property
    def noise_schedule(self) -> DDPMScheduler:
        """The schedule that the checkpoint was trained with, apart from the scheduler that samples."""
        return schedule_of(self.pipeline.scheduler)

    def loss(self, x: Tensor, cond: Cond) -> Tensor:
        return ddpm_loss(
            lambda noisy, t: self.predict(noisy, t, cond),
            self.latents(x),
            self.noise_schedule,
            noise_offset=self.noise_offset,
            min_snr_gamma=self.min_snr_gamma,
        )

    def latents(self, x: Tensor) -> Tensor:
        """What `encode_images` gave -> (b,c,h,w), clean and scaled as the network takes it."""
        return x

    def predict(self, noisy: Tensor, t: Tensor, cond: Cond) -> Tensor:
        """The network's own output for noisy (b,c,h,w) at timesteps int64 (b,), cond as in `loss`."""
        return self.call_backbone(noisy, t, cond["prompt_embeds"])


def schedule_of(scheduler: Any) -> DDPMScheduler:
    """The noise schedule that any scheduler of the Gaussian kind samples by, zero terminal SNR included."""
    # Without the private keys: by them diffusers would take another class's defaults where this one's were meant.
    config = {key: value for key, value in scheduler.config.items() if not key.startswith("_")}
    schedule: DDPMScheduler = DDPMScheduler.from_config(config)
    return schedule
