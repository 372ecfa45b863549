"""Muse's second stage: masked tokens of a larger picture beside those of the small one (arXiv 2301.00704, 2.4).

Notable: while it learns the small picture is the training picture made small, as in `emu.models.upscaling`; what it
draws of a picture of the first stage begins with that picture's tokens, read anew.
"""

import torch
from torch import Tensor

from emu.batch import Cond
from emu.errors import UserError
from emu.models.upscaling import made_small
from emu.module import TextToImageModule
from emu.objectives import masked_token_loss
from emu.parts import masked
from emu.parts.token_upscaler import TokenUpscalingPipeline
from emu.storage.shapes import Arguments


class MuseUpscaling(TextToImageModule):
    """A transformer that fills in a large picture's tokens by a caption and a small picture's."""

    pipeline_class = TokenUpscalingPipeline
    slot = "transformer"
    sampler_defaults = {"num_inference_steps": 8, "guidance_scale": 10.0}
    starts_from_picture = True

    def encode_images(self, images: Tensor) -> Tensor:  # int64 (b,2,h/f,w/f): tokens, and the small one's beneath each
        tokens = masked.tokens_of(self.pipeline.vqvae, images)
        low = masked.tokens_of(self.pipeline.low_vqvae, made_small(images, self.factor))
        beneath = low.repeat_interleave(self.pipeline.ratio, 1).repeat_interleave(self.pipeline.ratio, 2)
        return torch.stack([tokens, beneath], dim=1)

    def encode_prompts(self, prompts: list[str]) -> Cond:
        return {"prompt_embeds": self.pipeline.encode_prompt(prompts)}

    def loss(self, x: Tensor, cond: Cond) -> Tensor:
        tokens, low = x[:, 0], x[:, 1, :: self.pipeline.ratio, :: self.pipeline.ratio]
        return masked_token_loss(
            lambda hidden: self.call_backbone(hidden, cond["prompt_embeds"], low),
            tokens,
            mask_id=self.pipeline.scheduler.config.mask_token_id,
        )

    def configure_model(self) -> None:
        super().configure_model()
        low, high = (masked.token_size(part) for part in (self.pipeline.low_vqvae, self.pipeline.vqvae))
        if self.factor * low % high:
            raise UserError(
                f"model.pretrained {self.pretrained}: {self.factor} times as large, a token of {low} pixels is "
                f"{self.factor * low}, which tokens of {high} pixels do not fill evenly"
            )

    @property
    def factor(self) -> int:
        """The pipeline's."""
        return int(self.pipeline.config.factor)

    @property
    def start_side(self) -> int:
        """As the parent's; of a model of no resolution by what its network was made for."""
        made_for = self.pipeline.transformer.config.sample_size * masked.token_size(self.pipeline.vqvae)
        return int(self.resolution or made_for) // self.factor

    @property
    def size_multiple(self) -> int:
        return self.factor * masked.token_size(self.pipeline.low_vqvae)

    def size_arguments(self, height: int | None, width: int | None) -> Arguments:
        """None: the pipeline's call takes no size."""
        return {}

    def prompt_arguments(self, cond: Cond, negative: Cond) -> Arguments:
        return super().prompt_arguments(cond, negative) | {"image": cond["image"] / 2 + 0.5}
