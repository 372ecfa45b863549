"""One .safetensors in the layout in which the family was first published, which single-file programs and ComfyUI know.

Of Stable Diffusion, SDXL and SD3 it holds the whole model, of every later family the network that draws: its
autoencoder and text encoders are files of their own there.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from emu import originals
from emu.errors import UserError
from emu.formats import ENDING, Format, plain, require_ours
from emu.formats.header import model_spec
from emu.module import TextToImageModule
from emu.networks import adapters
from emu.pipeline_folders import tensor_files
from emu.pipeline_folders.tensor_files import Stored


class SingleFile(Format):
    """An adapter is merged into the weights.

    Args:
        dtype: bf16, fp16 or fp32; None for what each part has, and float32 for what was trained.
    """

    says = "a single file, which diffusers' from_single_file loads"

    def __init__(self, dtype: str | None = None) -> None:
        kinds = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
        if dtype is not None and dtype not in kinds:
            raise ValueError(f"dtype {dtype}: give {', '.join(kinds)}")
        self.dtype = None if dtype is None else kinds[dtype]

    def check(self, model: TextToImageModule, out: Path) -> None:
        if out.suffix != ENDING:
            raise UserError(f"{out}: one file; give a name that ends in {ENDING}")
        require_ours(out)
        self.tensors(model)

    def tensors(self, model: TextToImageModule) -> dict[str, Stored]:
        """What the file holds."""
        held = adapters.tensors(model.ema)
        return originals.published(model.folder, model.slot, held)

    def write(self, model: TextToImageModule, out: Path, about: Mapping[str, str]) -> None:
        tensors = {name: tensor.to(self.dtype) for name, tensor in self.tensors(model).items()}
        tensor_files.write(out, tensors, {"format": "pt", **model_spec(model, out.stem), **about})

    def load(self, model: TextToImageModule, out: Path) -> Any:
        base = model.folder
        pipeline = plain(model, base)
        alone = originals.parts(base, model.slot).keys() == {model.slot}
        kind: Any = type(getattr(pipeline, model.slot)) if alone else type(pipeline)
        inside = {"subfolder": model.slot} if alone else {"safety_checker": None}
        found = kind.from_single_file(str(out), config=str(base), local_files_only=True, **inside)
        if not alone:
            for part in found.components.values():
                if isinstance(part, torch.nn.Module):
                    part.float()
            return found
        setattr(pipeline, model.slot, found.float())
        return pipeline
