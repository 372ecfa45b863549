"""The adapter alone, under the names of diffusers and peft.

`COMPONENT.LAYER.lora_A.weight` (rank, in) and `.lora_B.weight` (out, rank). Notable: alpha is folded into B, so every
reader gives it the strength it was trained with, whether it knows of an alpha or takes it to be the rank.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from emu import files, lora_files
from emu.errors import UserError
from emu.formats import ENDING, Format, plain
from emu.module import TextToImageModule


class LoRA(Format):
    """One .safetensors file, to be loaded on the base that the run began with."""

    says = "a LoRA file that diffusers loads on the run's base"

    def check(self, model: TextToImageModule, out: Path) -> None:
        if model.adapter is None:
            raise UserError("--format: the run trained all weights, and a LoRA file holds an adapter; leave it out")
        if out.suffix != ENDING:
            raise UserError(f"{out}: a LoRA is one file; give a name that ends in {ENDING}")

    def names(self, model: TextToImageModule, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """The file's names for `lora_files.weights`."""
        return {f"{model.slot}.{name}": weight for name, weight in weights.items()}

    def write(self, model: TextToImageModule, out: Path, about: Mapping[str, str]) -> None:
        weights = self.names(model, lora_files.weights(model.ema))
        header = {
            "format": "pt",
            lora_files.BASE: lora_files.identity(model.folder, model.slot),
            **about,
        }
        content = save({name: weight.contiguous() for name, weight in weights.items()}, header)
        files.write(out, content)

    def load(self, model: TextToImageModule, out: Path) -> Any:
        base = model.folder
        pipeline = plain(model, base)
        pipeline.scheduler = model.pipeline.scheduler  # a folder would bring it: IF is drawn with another variance
        lora_files.load(pipeline, model.slot, out, base=base)
        return pipeline
