"""What of an adapter is written into a file, and how diffusers loads such a file: the proof of an export."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from emu.errors import UserError, first_line
from emu.loras import known
from emu.networks.adapters import layers
from emu.originals import Piece
from emu.pipeline_folders import folders
from emu.terminal.counted import an, many

BASE = "emu.base_sha256"  # a key of a file's header
DOWN, UP = ".lora_A.weight", ".lora_B.weight"


def weights(network: nn.Module) -> dict[str, Tensor]:
    """`LAYER.lora_A.weight` (rank, in), `.lora_B.weight` (out, rank), of DoRA `.lora_magnitude_vector` (out,).

    alpha is folded into B: read with alpha = rank, which is what readers take where none is given, they have the
    strength that was trained.
    """
    found: dict[str, Tensor] = {}
    for name, layer in layers(network):
        found[f"{name}.lora_A.weight"] = layer.lora_A["default"].weight.detach()
        found[f"{name}.lora_B.weight"] = layer.lora_B["default"].weight.detach() * layer.scaling["default"]
        if "default" in layer.lora_magnitude_vector:
            found[f"{name}.lora_magnitude_vector"] = layer.lora_magnitude_vector["default"].weight.detach()
    return found


def published(network: nn.Module) -> dict[str, Tensor]:
    """`weights` under the names that the layers had where the model was first published, without DoRA's.

    A layer that was one there and is several here takes their matrices A one below the other, and their B in a block
    of its own rows and columns each; rows that have no adapter are 0. Raises UserError where a layer had no name.
    """
    own = weights(network)
    names = [name.removesuffix(DOWN) for name in own if name.endswith(DOWN)]
    made = known.published(network)
    if nameless := [name for name in names if name not in {one.name for pieces in made.values() for one in pieces}]:
        kind = an(type(network).__name__)
        raise UserError(
            f"--format: {many(len(nameless), 'layer has', 'layers have')} no name where {kind} was first published, "
            f"the first {nameless[0]}; give --format lora"
        )
    found: dict[str, Tensor] = {}
    for layer, pieces in made.items():
        parts = list(dict.fromkeys(one.name for one in pieces if f"{one.name}{DOWN}" in own))
        if parts:
            found[f"{layer}{DOWN}"] = torch.cat([own[f"{name}{DOWN}"] for name in parts])
            found[f"{layer}{UP}"] = torch.cat([_rows(network, own, one, parts) for one in pieces])
    return found


def _rows(network: nn.Module, own: dict[str, Tensor], piece: Piece, parts: list[str]) -> Tensor:
    """A piece's rows of the stacked B: its own B in its columns."""
    layer: Any = network.get_submodule(piece.name)
    blocks = [own[f"{name}{UP}"] if name == piece.name else None for name in parts]
    ranks = [own[f"{name}{UP}"].shape[1] for name in parts]
    rows = len(piece.of(layer.weight))
    like = own[f"{parts[0]}{UP}"]
    return torch.cat(
        [like.new_zeros(rows, rank) if b is None else piece.of(b) for b, rank in zip(blocks, ranks, strict=True)], dim=1
    )


def load(pipeline: Any, slot: str, path: Path) -> None:
    """Give the pipeline's network the adapter of a file, by diffusers' own reader where the pipeline has one.

    Raises UserError where one of its layers is not the network's.
    """
    network = getattr(pipeline, slot)
    try:
        state = read(pipeline, slot, path)
        if reads_lora(pipeline, slot):
            pipeline.load_lora_weights(str(path.parent), weight_name=path.name)
        else:
            inject(network, state)
    except Exception as error:  # whatever diffusers, peft and safetensors make of a file
        raise UserError(f"{path}: no LoRA of this model ({first_line(error)}); give one of its base") from error
    wanted = sum(name.endswith(("lora_B.weight", "lora.up.weight")) for name in state)
    found = sum(1 for _ in layers(network))
    if found != wanted or not found:
        raise UserError(f"{path}: {found} of its {wanted} layers are this {slot}'s; give a LoRA of this model's base")


def identity(base: Path, slot: str, merged: Sequence[str] = ()) -> str:
    """What `BASE` of a LoRA file's header says of the weights it belongs to: a sha256.

    Of their files and, where there are such, of the digests of the files that were `merged` into them.
    """
    weights = folders.content_hash([base / slot])
    return hashlib.sha256(" ".join([weights, *merged]).encode()).hexdigest() if merged else weights


def reads_lora(pipeline: Any, slot: str) -> bool:
    """Whether the pipeline itself reads LoRA files; some have the reader of another kind, which looks for a U-Net."""
    return slot in getattr(pipeline, "_lora_loadable_modules", ())


def read(pipeline: Any, slot: str, path: Path) -> dict[str, Tensor]:
    """What of a LoRA file is for the pipeline's component `slot`, in the names of diffusers."""
    if reads_lora(pipeline, slot):
        blocks_of = {"unet_config": pipeline.unet.config} if slot == "unet" else {}
        found = pipeline.lora_state_dict(str(path.parent), weight_name=path.name, **blocks_of)
        state = found[0] if isinstance(found, tuple) else found
    else:
        state = safetensors.torch.load_file(path)
    return {name.removeprefix(f"{slot}."): weight for name, weight in state.items() if name.startswith(f"{slot}.")}


def inject(network: nn.Module, state: dict[str, Tensor]) -> None:
    """Give `network` the adapter of `state`, named as `weights` names it, with alpha = rank."""
    from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict

    end = ".lora_B.weight"
    ranks = {name.removesuffix(end): weight.shape[1] for name, weight in state.items() if name.endswith(end)}
    config = LoraConfig(
        target_modules=list(ranks),
        rank_pattern=ranks,
        alpha_pattern=ranks,
        use_dora=any(name.endswith("lora_magnitude_vector") for name in state),
    )
    inject_adapter_in_model(config, network)
    set_peft_model_state_dict(network, state)
