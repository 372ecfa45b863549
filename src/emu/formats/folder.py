"""A pipeline folder, as `DiffusionPipeline.from_pretrained` loads it: the base's own files and the trained weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline

from emu import components, folders
from emu.errors import UserError
from emu.formats import Format
from emu.module import TextToImageModule


class PipelineFolder(Format):
    """An adapter is merged into the weights."""

    says = "loads in diffusers"

    def check(self, model: TextToImageModule, out: Path) -> None:
        if out.exists() and not (out / folders.INDEX).exists():
            raise UserError(f"{out}: holds something other than a pipeline folder; name another folder")

    def write(self, model: TextToImageModule, out: Path, about: Mapping[str, str]) -> None:
        model.save_pipeline(out)

    def load(self, model: TextToImageModule, out: Path) -> Any:
        return plain(model, out)


def plain(model: TextToImageModule, folder: Path) -> Any:
    """The folder's pipeline by diffusers alone, without what would blacken a picture or mark it."""
    left_out = components.left_out(model.pipeline_class, folders.read_index(folder))
    # Without a dtype transformers 5 leaves half-precision text encoders as they are, beside a U-Net in float32.
    return DiffusionPipeline.from_pretrained(folder, dtype=torch.float32, **left_out)
