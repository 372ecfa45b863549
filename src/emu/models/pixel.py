"""Pixel diffusion: stage I of DeepFloyd IF, a U-Net on pixels that reads T5."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from diffusers import IFPipeline
from torch import Tensor, nn

from emu.batch import Cond
from emu.models.gaussian import GaussianDiffusion


class PixelDiffusion(GaussianDiffusion):
    """IF predicts the noise in its channels 0-2 and the variance of a step in 3-5.

    Tuning learns the noise alone. What the variance channels say would then no longer belong to it, so the scheduler
    that draws, here and in what is saved, takes a fixed variance.
    """

    pipeline_class: ClassVar[type[Any]] = IFPipeline
    # clean_caption would rewrite prompts where two more packages are installed, and only there.
    sampler_defaults = {"num_inference_steps": 100, "guidance_scale": 7.0, "clean_caption": False}
    max_tokens = 77  # IF's own: T5 would take more

    def build_pipeline(self, networks: Mapping[str, nn.Module]) -> Any:
        pipeline = super().build_pipeline(networks)
        scheduler = pipeline.scheduler
        pipeline.scheduler = type(scheduler).from_config(scheduler.config, **self._changes(scheduler.config))
        return pipeline

    def untrainable(self, pipeline: Any) -> str | None:
        channels, given = pipeline.unet.config.in_channels, 3 + self.beside
        if channels != given:
            return (
                f"its U-Net takes {channels} channels, and {type(self).__name__} gives it {given}: it is of "
                "another stage, or fills in or edits pictures"
            )
        return super().untrainable(pipeline)

    def write_changed(self, folder: Path) -> None:
        super().write_changed(folder)
        path = folder / "scheduler" / "scheduler_config.json"
        config = json.loads(path.read_text())
        path.write_text(json.dumps(config | self._changes(config), indent=2))

    @staticmethod
    def _changes(scheduler: Mapping[str, Any]) -> dict[str, str]:
        learned = scheduler.get("variance_type") in ("learned", "learned_range")
        return {"variance_type": "fixed_small"} if learned else {}

    def encode_images(self, images: Tensor) -> Tensor:
        return images

    def encode_prompts(self, prompts: list[str]) -> Cond:
        embeds, _ = self.pipeline.encode_prompt(prompts, do_classifier_free_guidance=False, device=self.device)
        return {"prompt_embeds": embeds}

    def sample(
        self,
        cond: Cond,
        negative: Cond,
        seeds: Sequence[int] | Tensor,
        *,
        height: int | None = None,
        width: int | None = None,
    ) -> Tensor:
        images = super().sample(cond, negative, seeds, height=height, width=width)
        return (images / 2 + 0.5).clamp(0, 1)  # the pipeline gives tensors in [-1,1], unlike all others

    @property
    def size_multiple(self) -> int:
        return int(2 ** (len(self.pipeline.unet.config.down_block_types) - 1))
