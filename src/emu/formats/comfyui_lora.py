"""The adapter alone, under the names that ComfyUI itself has for the layers of every model that it knows.

`diffusion_model.LAYER.lora_A.weight` (rank, in), `.lora_B.weight` (out, rank) and `.alpha`, which is the rank here;
LAYER is the name that the layer had where the model was first published: what was one layer there is one here.
"""

from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from emu import loras
from emu.errors import UserError
from emu.formats.lora import LoRA
from emu.loras import written
from emu.loras.file import LoRAFile
from emu.module import TextToImageModule


class ComfyUILoRA(LoRA):
    """Of a transformer that holds apart what was one layer, the rank is the sum of its parts'.

    Notable: ComfyUI divides DoRA's magnitudes by the norms of the base's weights, where they were trained by those of
    the updated ones, so that an adapter with DoRA would draw otherwise there.
    """

    says = "a LoRA file in the names that ComfyUI has, on the run's base"
    name: ClassVar[str] = "lora-comfyui"

    def check(self, model: TextToImageModule, out: Path) -> None:
        super().check(model, out)
        if model.adapter is not None and model.adapter.dora:
            raise UserError(f"--format {self.name}: its readers take DoRA's magnitudes otherwise, or not; give lora")

    def tensors(self, model: TextToImageModule) -> dict[str, Tensor]:
        return {f"diffusion_model.{key}": one for key, one in with_alpha(written.published(model.ema)).items()}

    def load(self, model: TextToImageModule, out: Path) -> Any:
        pipeline = self.base(model)  # merged, for diffusers reads these names of some models alone
        loras.merge([LoRAFile(str(out))], pipeline, slot=model.slot, encoders=False)
        return pipeline


def with_alpha(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Beside each layer's matrices an alpha that says that their strength is folded into them."""
    ranks = {name.removesuffix(written.DOWN): len(one) for name, one in weights.items() if name.endswith(written.DOWN)}
    return weights | {f"{layer}.alpha": torch.tensor(float(rank)) for layer, rank in ranks.items()}
