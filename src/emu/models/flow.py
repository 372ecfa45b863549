"""Flow matching: Stable Diffusion 3, and what all transformers that learn a velocity share.

Esser et al. 2024, arXiv 2403.03206. Notable: the models of this family learn by one loss and differ in five points,
which the class attributes below name; the fifth, a guidance scale as an input, is in `emu.models.flux`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from diffusers import StableDiffusion3Pipeline
from torch import Tensor, nn

from emu.batch import Cond
from emu.models.latents import pack, shift_and_scale, unpack
from emu.module import TextToImageModule
from emu.objectives import flow_matching_loss
from emu.objectives.shift import shift_of


class FlowMatching(TextToImageModule):
    """The velocity from picture to noise, at noise levels that are shifted as the checkpoint's scheduler does.

    As it stands it is Stable Diffusion 3 and 3.5; a subclass says what differs, and calls its transformer in `predict`.

    Args:
        pretrained: as in `TextToImageModule`, like all that is not named here.
        noise_offset: standard deviation of the noise that a whole channel shares.
        logit_mean: of the logit of the noise level, before the shift.
        logit_std: of the logit of the noise level.
    """

    pipeline_class: ClassVar[type[Any]] = StableDiffusion3Pipeline
    slot = "transformer"
    optional_parts: ClassVar[Sequence[str]] = ("text_encoder_3", "tokenizer_3")  # T5, which takes most of the memory
    sampler_defaults: ClassVar[Mapping[str, int | float | bool | str]] = {
        "num_inference_steps": 28,
        "guidance_scale": 7.0,
        "max_sequence_length": 256,
    }

    normalise = staticmethod(shift_and_scale)
    """(what `encode_images` gives, the autoencoder) -> latents (b,c,h,w) as the transformer takes them."""
    packed: ClassVar[int] = 0
    """Side in latents of the squares that become tokens before the transformer; 0 where it cuts them by itself."""
    time_scale: ClassVar[float] = 1000.0
    """The transformer's own time at a noise level of 1."""
    time_from_noise: ClassVar[bool] = False
    """Whether that time runs from noise to picture."""
    sign: ClassVar[int] = 1
    """-1 where the output is the velocity from noise to picture."""

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
        shift_of(pipeline.scheduler, tokens=1)  # or refuse it
        return pipeline

    def encode_images(self, images: Tensor) -> Tensor:  # pixels -> mean and log-variance, (b,2c,h/f,w/f)
        moments: Tensor = self.pipeline.vae.encode(images).latent_dist.parameters
        return moments

    def encode_prompts(self, prompts: list[str]) -> Cond:
        embeds, _, pooled, _ = self.pipeline.encode_prompt(
            prompts,
            None,
            None,
            device=self.device,
            do_classifier_free_guidance=False,
            max_sequence_length=self.text_length,
        )
        return {"prompt_embeds": embeds, "pooled_prompt_embeds": pooled}

    def loss(self, x: Tensor, cond: Cond) -> Tensor:
        latents = self.latents(x)
        return flow_matching_loss(
            lambda noisy, sigmas: self.velocity(noisy, sigmas, cond),
            latents,
            shift=self.shift(latents),
            mean=self.logit_mean,
            std=self.logit_std,
            noise_offset=self.noise_offset,
        )

    def latents(self, x: Tensor) -> Tensor:
        """What `encode_images` gave -> (b,c,h,w) as the transformer takes it."""
        return self.normalise(x, self.pipeline.vae)

    def shift(self, latents: Tensor) -> float:
        """How far noise levels of such pictures move to the noisy side."""
        return shift_of(self.pipeline.scheduler, tokens=latents.shape[-2:].numel() // self.token_side**2)

    def velocity(self, noisy: Tensor, sigmas: Tensor, cond: Cond) -> Tensor:
        """Noisy latents (b,c,h,w) at noise levels (b,) -> the velocity from picture to noise, (b,c,h,w)."""
        t = self.time_scale * (1 - sigmas if self.time_from_noise else sigmas)
        if not self.packed:
            return self.sign * self.predict(noisy, t, cond, (noisy.shape[-2], noisy.shape[-1]))
        rows, columns = (side // self.packed for side in noisy.shape[-2:])
        tokens = self.predict(pack(noisy, self.packed), t, cond, (rows, columns))
        return self.sign * unpack(tokens, self.packed, rows)

    def predict(self, noisy: Tensor, t: Tensor, cond: Cond, grid: tuple[int, int]) -> Tensor:
        """The transformer's own output, of the shape of `noisy`.

        Args:
            noisy: (b,c,h,w) or, where the model is packed, (b,rows columns,c).
            t: (b,) in the transformer's own time.
            cond: as in `loss`.
            grid: h and w, or rows and columns.
        """
        return self.call_backbone(noisy, cond["prompt_embeds"], cond["pooled_prompt_embeds"], t)

    @property
    def text_length(self) -> int:
        """Tokens of a prompt that the pipeline reads: `sampler.max_sequence_length`, in tuning as in drawing."""
        return int(self.sampler["max_sequence_length"])

    @property
    def max_tokens(self) -> int:
        return min(self.text_length, super().max_tokens)

    @property
    def token_side(self) -> int:
        """Side in latents of the squares that become tokens, here or in the transformer."""
        return int(self.packed or self.pipeline.transformer.config.patch_size)

    @property
    def size_multiple(self) -> int:
        return int(self.pipeline.vae_scale_factor * self.token_side)
