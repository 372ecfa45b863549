"""What a tuned model is written as, for the programs that draw with it. One file a format; a user's own is one too.

emu export runs/sdxl my-style.safetensors --format lora
emu export runs/sdxl my-sdxl --format my_formats.Mine
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import diffusers
import torch
from diffusers import DiffusionPipeline
from safetensors import SafetensorError, safe_open

from emu import answers
from emu.class_paths import named
from emu.errors import UserError
from emu.module import TextToImageModule
from emu.pipeline_folders import components, folders
from emu.storage.shapes import Row

NAMES = {
    "diffusers": "emu.formats.folder.PipelineFolder",
    "single-file": "emu.formats.single_file.SingleFile",
    "comfyui": "emu.formats.comfyui.ComfyUI",
    "lora": "emu.formats.lora.LoRA",
    "lora-comfyui": "emu.formats.comfyui_lora.ComfyUILoRA",
    "lora-kohya": "emu.formats.kohya.KohyaLoRA",
}
ENDING = ".safetensors"
STEP = "emu.step"  # a key of the header of every file that is exported


def find(name: str) -> "Format":
    """The format of NAME[,NAME=VALUE], where NAME is in `NAMES` or a class path; UserError where there is none."""
    first, comma, settings = name.partition(",")
    if first not in NAMES and "." not in first:
        raise UserError(f"--format {name}: give {', '.join(NAMES)}, or the class path of one of your own")
    given = NAMES.get(first, first) + comma + settings
    found = named.make(given, Format, where="--format", like=NAMES["lora"], typed=True)
    if not hasattr(found, "says"):
        raise answers.lacks(found, "says", "what the file or folder is, in words")
    return found


class Format(ABC):
    """One way to write a model, and to draw from what was written without emu."""

    says: ClassVar[str]
    """What the file or folder is, in words."""
    dtype: torch.dtype | None = None
    """What its weights are rounded to; None where they are as they were trained."""

    def check(self, model: TextToImageModule, out: Path) -> None:  # noqa: B027  (most take any model)
        """Raise UserError where the model cannot be written so, or not to that place."""

    @abstractmethod
    def write(self, model: TextToImageModule, out: Path, about: Mapping[str, str]) -> None:
        """Write the averaged weights, whole or not at all; `about` says where they come from, for the file's header."""

    @abstractmethod
    def load(self, model: TextToImageModule, out: Path) -> Any:
        """The pipeline as a user of diffusers loads it, in float32."""

    def accompany(self, model: TextToImageModule, out: Path, row: Row, pipeline: Any) -> None:  # noqa: B027
        """Write what lies beside it, once the plain pipeline has drawn from it.

        `row` of samples.jsonl says what it drew, with the picture's width and height in its sampler.
        """


def require_ours(out: Path) -> None:
    """UserError where there is a file that no export wrote."""
    if not out.exists():
        return
    try:
        with safe_open(out, "pt") as held:
            ours = STEP in (held.metadata() or {})
    except (SafetensorError, OSError):
        ours = False
    if not ours:
        raise UserError(f"{out}: there already, and no export wrote it; name another file")


def in_diffusers(pipeline_class: type[Any]) -> bool:
    """Whether diffusers loads such a pipeline by itself, under the name of its class."""
    return hasattr(diffusers, pipeline_class.__name__)


def plain(model: TextToImageModule, folder: Path) -> Any:
    """A folder's pipeline as its user loads it, without what would blacken a picture or mark it.

    By diffusers alone; where that has no such pipeline by the class that the model is drawn with.
    """
    left_out = components.left_out(model.pipeline_class, folders.read_index(folder))
    # Without a dtype transformers 5 leaves half-precision text encoders as they are, beside a U-Net in float32.
    stand_ins = model.stand_ins()
    given = {**left_out, **components.accepted(stand_ins)}
    loader = DiffusionPipeline if in_diffusers(model.pipeline_class) else model.pipeline_class
    pipeline: Any = loader.from_pretrained(folder, dtype=torch.float32, **given)
    pipeline.register_modules(**stand_ins)
    return pipeline
