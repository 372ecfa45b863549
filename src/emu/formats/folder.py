"""A pipeline folder, as `DiffusionPipeline.from_pretrained` loads it: the base's own files and the trained weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emu.errors import UserError
from emu.formats import Format, plain
from emu.module import TextToImageModule
from emu.pipeline_folders import folders


class PipelineFolder(Format):
    """An adapter is merged into the weights."""

    says = "loads in diffusers"

    def check(self, model: TextToImageModule, out: Path) -> None:
        empty = out.is_dir() and not any(out.iterdir())
        if out.exists() and not empty and not (out / folders.MODEL).exists():
            raise UserError(f"{out}: holds something other than a pipeline folder of an export; name another folder")

    def write(self, model: TextToImageModule, out: Path, about: Mapping[str, str]) -> None:
        model.save_pipeline(out)

    def load(self, model: TextToImageModule, out: Path) -> Any:
        return plain(model, out)
