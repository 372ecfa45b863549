"""The adapter alone, under the names of kohya's sd-scripts, which ComfyUI, A1111 and Forge use.

`lora_unet_LAYER.lora_down.weight` (rank, in), `.lora_up.weight` (out, rank) and `.alpha`, which is the rank here, where
LAYER is diffusers' name with "_" for ".".
"""

from pathlib import Path

import torch
from torch import Tensor

from emu.errors import UserError
from emu.formats.lora import LoRA
from emu.module import TextToImageModule

ENDS = {"lora_A.weight": "lora_down.weight", "lora_B.weight": "lora_up.weight"}


class KohyaLoRA(LoRA):
    """For U-Nets; of transformers these programs read the names of diffusers."""

    says = "a LoRA file in kohya's names, which diffusers loads on the run's base"

    def check(self, model: TextToImageModule, out: Path) -> None:
        super().check(model, out)
        if model.slot != "unet":
            raise UserError(f"--format lora-kohya: names U-Nets, and this is a {model.slot}; give --format lora")
        if model.adapter is not None and model.adapter.dora:
            raise UserError("--format lora-kohya: diffusers reads these names without DoRA's magnitudes; give lora")

    def names(self, model: TextToImageModule, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        named: dict[str, Tensor] = {}
        for name, weight in weights.items():
            layer, what = next((name.removesuffix(f".{end}"), ENDS[end]) for end in ENDS if name.endswith(end))
            key = f"lora_unet_{layer.replace('.', '_')}"
            named[f"{key}.{what}"] = weight
            if what == "lora_down.weight":
                named[f"{key}.alpha"] = torch.tensor(float(len(weight)))
        return named
