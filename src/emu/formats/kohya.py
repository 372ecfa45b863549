"""The adapter alone, under the names of kohya's trainers, which ComfyUI, A1111 and Forge use.

`lora_unet_LAYER.lora_down.weight` (rank, in), `.lora_up.weight` (out, rank) and `.alpha`, which is the rank here, where
LAYER is diffusers' name of a U-Net's layer, and of a transformer's the one that it had where it was first published,
with "_" for ".".
"""

from pathlib import Path
from typing import Any

from torch import Tensor

from emu.formats.comfyui_lora import ComfyUILoRA, with_alpha
from emu.formats.lora import LoRA
from emu.loras import written
from emu.module import TextToImageModule

ENDS = {"lora_A.weight": "lora_down.weight", "lora_B.weight": "lora_up.weight", "alpha": "alpha"}


class KohyaLoRA(ComfyUILoRA):
    """Of transformers, `lora_unet_` begins their layers too."""

    says = "a LoRA file in kohya's names, on the run's base"
    name = "lora-kohya"

    def tensors(self, model: TextToImageModule) -> dict[str, Tensor]:
        own = written.weights(model.ema) if model.slot == "unet" else written.published(model.ema)
        return {kohya(key): one for key, one in with_alpha(own).items()}

    def load(self, model: TextToImageModule, out: Path) -> Any:
        return LoRA.load(self, model, out) if model.slot == "unet" else super().load(model, out)


def kohya(key: str) -> str:
    """`a.b.lora_A.weight` -> `lora_unet_a_b.lora_down.weight`."""
    layer, end = next((key.removesuffix(f".{end}"), ENDS[end]) for end in ENDS if key.endswith(f".{end}"))
    return f"lora_unet_{layer.replace('.', '_')}.{end}"
