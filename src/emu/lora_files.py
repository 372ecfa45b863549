"""LoRA files: what of an adapter is written into one, and how any program's is loaded into a pipeline."""

import logging
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor, nn

from emu import folders
from emu.adapters import layers
from emu.errors import UserError, first_line

log = logging.getLogger(__name__)

BASE = "emu.base_sha256"  # a key of a file's header


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


def load(pipeline: Any, slot: str, path: Path, *, base: Path) -> None:
    """Give the pipeline's networks the adapter of a LoRA file, in diffusers' or another program's names.

    A warning says where its header names other weights than those of the pipeline folder `base`. Raises UserError where
    there is no such file, or where one of its layers is not the network's.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; name a LoRA, a .safetensors file")
    network = getattr(pipeline, slot)
    try:
        with safetensors.safe_open(path, "pt") as file:
            made_on = (file.metadata() or {}).get(BASE)
        if made_on not in (None, identity(base, slot)):
            log.warning("%s: made on other weights than those of %s; it may draw worse here", path, base)
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


def identity(base: Path, slot: str) -> str:
    """What `BASE` of a LoRA file's header says of the weights it belongs to: the sha256 of their files."""
    return folders.content_hash([base / slot])


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
