"""LoRA files: those of any trainer merged into a model's weights, and what is written of an adapter of one's own.

    emu fit -c latent/sdxl --model.init_args.loras '[style.safetensors, detail.safetensors:0.6]' ...
    emu sample stabilityai/stable-diffusion-xl-base-1.0 prompts.txt pictures --lora style.safetensors:0.8

Notable: a file is held against the base by the two headers, before any weights are read.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_info
from torch import nn

from emu.errors import UserError
from emu.loras import known
from emu.loras.file import LoRAFile
from emu.loras.written import BASE, identity
from emu.storage import files
from emu.terminal.counted import many

log = logging.getLogger(__name__)


def check(loras: Sequence[LoRAFile], described: Path, *, slot: str) -> None:
    """Hold files against a pipeline folder by its descriptions alone; encoders' layers are passed over.

    UserError as for `LoRAFile.check`.
    """
    held = known.of_folder(slot, described) if loras else None
    if held is not None:
        for lora in loras:
            lora.check({slot: held}, slot=slot)


def warn_of_another_base(loras: Sequence[LoRAFile], base: Path, *, slot: str, merged: Sequence[str] = ()) -> None:
    """Say where a file names other weights than the folder's with what is `merged` into them, by `digests`."""
    for lora in loras:
        if BASE in lora.header and lora.header[BASE] != identity(base, slot, merged):
            log.warning("%s: made on other weights than those of %s; it may draw worse here", lora.path, base)


def merge(loras: Sequence[LoRAFile], pipeline: Any, *, slot: str, encoders: bool) -> None:
    """Merge files into a pipeline's weights, one after another.

    Args:
        slot: the component that draws.
        encoders: the text encoders' layers too; else a line says that they are left out.

    UserError as for `LoRAFile.check`, and where all of a file would be left out, before anything is changed.
    """
    parts = {name: part for name, part in pipeline.components.items() if isinstance(part, nn.Module)}
    networks = {name: part for name, part in parts.items() if name == slot or (encoders and "text_encoder" in name)}
    components = {name: known.of_network(name, part) for name, part in networks.items()}
    for lora in loras:
        lora.check(components, slot=slot)
        if not encoders and lora.of_encoders() == len(lora.layers):
            raise UserError(
                f"{lora.path}: of text encoders alone, which stay as they are where a run starts; leave it out"
            )
    for lora in loras:
        lora.merge(networks, components, slot=slot)
        left_out = 0 if encoders else lora.of_encoders()
        are = many(left_out, "layer of text encoders is", "layers of text encoders are")
        said = f"; its {are} left out, which stay as they are" * bool(left_out)
        rank_zero_info(f"{lora.path}: merged at a strength of {lora.strength:g}{said}")


def digests(loras: Sequence[LoRAFile]) -> list[str]:
    """What was merged, by content and strength."""
    return [f"{files.sha256(lora.path)}:{lora.strength:g}" for lora in loras]
