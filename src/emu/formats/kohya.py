"""The adapter alone, under the names of kohya's trainers, which ComfyUI, A1111 and Forge use.

`lora_unet_LAYER.lora_down.weight` (rank, in), `.lora_up.weight` (out, rank) and `.alpha`, which is the rank here, where
LAYER, with "_" for ".", is diffusers' name of a layer of SD 1 and 2, as kohya's trainers have it, and the name that it
had where the model was first published of SDXL's and of transformers'.
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
        of_diffusers = model.slot == "unet" and model.pipeline_class.__name__ != "StableDiffusionXLPipeline"
        own = written.weights(model.ema) if of_diffusers else written.published(model.ema)
        return {kohya(key): one for key, one in with_alpha(own).items()}

    def load(self, model: TextToImageModule, out: Path) -> Any:
        return LoRA.load(self, model, out) if model.slot == "unet" else super().load(model, out)


def kohya(key: str) -> str:
    """`a.b.lora_A.weight` -> `lora_unet_a_b.lora_down.weight`."""
    layer, end = next((key.removesuffix(f".{end}"), ENDS[end]) for end in ENDS if key.endswith(f".{end}"))
    return f"lora_unet_{layer.replace('.', '_')}.{end}"
