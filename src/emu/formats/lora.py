"""The adapter alone, under the names of diffusers and peft.

`COMPONENT.LAYER.lora_A.weight` (rank, in) and `.lora_B.weight` (out, rank). Notable: alpha is folded into B, so every
reader gives it the strength it was trained with, whether it knows of an alpha or takes it to be the rank.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from emu import loras
from emu.errors import UserError
from emu.formats import ENDING, Format, plain, require_ours
from emu.formats.header import model_spec
from emu.loras import written
from emu.loras.file import LoRAFile
from emu.module import TextToImageModule
from emu.storage import files


class LoRA(Format):
    """One .safetensors file, to be loaded on the base that the run began with."""

    says = "a LoRA file that diffusers loads on the run's base"

    def check(self, model: TextToImageModule, out: Path) -> None:
        if model.adapter is None:
            raise UserError("--format: the run trained all weights, and a LoRA file holds an adapter; leave it out")
        if out.suffix != ENDING:
            raise UserError(f"{out}: a LoRA is one file; give a name that ends in {ENDING}")
        require_ours(out)

    def tensors(self, model: TextToImageModule) -> dict[str, Tensor]:
        """The average's adapter under the file's names."""
        return {f"{model.slot}.{name}": weight for name, weight in written.weights(model.ema).items()}

    def write(self, model: TextToImageModule, out: Path, about: Mapping[str, str]) -> None:
        tensors = {name: weight.contiguous() for name, weight in self.tensors(model).items()}
        files.write(out, save(tensors, {"format": "pt", **model_spec(model, out.stem, lora=True), **about}))

    def load(self, model: TextToImageModule, out: Path) -> Any:
        pipeline = self.base(model)
        written.load(pipeline, model.slot, out)
        return pipeline

    def base(self, model: TextToImageModule) -> Any:
        """What the run began with, in plain diffusers."""
        pipeline = plain(model, model.folder)
        pipeline.scheduler = model.pipeline.scheduler  # a folder would bring it: IF is drawn with another variance
        loras.merge([LoRAFile(given) for given in model.loras], pipeline, slot=model.slot, encoders=False)
        return pipeline
