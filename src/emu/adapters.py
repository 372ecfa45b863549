"""Low-rank adapters: a few small matrices train beside a network whose own weights stay as they are.

    emu fit -c latent/sdxl -c adapters/lora --data.root my/needles

Hu et al. 2021, arXiv 2106.09685: a layer W x becomes W x + alpha / rank * B A x, where A (rank, in) and B (out, rank)
train and B begins at 0. Notable: it works on any network, a user's own included, and knows of it only its blocks.
"""

import copy
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from emu import components, folders
from emu.blocks import blocks
from emu.errors import UserError

log = logging.getLogger(__name__)

BASE = "emu.base_sha256"  # a key of a LoRA file's header


@dataclass(frozen=True)
class Adapter:
    """What a low-rank adapter looks like.

    Args:
        rank: of the update of each layer.
        alpha: the update is scaled by alpha / rank; None for alpha = rank, a scale of 1.
        targets: ends of the names of the linear layers that get one, such as "to_q" or "attn1.to_out.0"; None for all
            linear layers of the network's blocks.
        dora: direction and magnitude of each layer's weights train apart (Liu et al. 2024, arXiv 2402.09353); not for
            networks with rows of zeros, as untrained ones may have, which have no direction.
    """

    rank: int = 16
    alpha: int | None = None
    targets: list[str] | None = None
    dora: bool = False

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise UserError(f"model.adapter.rank {self.rank}: give 1 or more")


def attach(network: nn.Module, adapter: Adapter) -> None:
    """Freeze `network` and give its target layers an adapter, in place; the layers' outputs are unchanged.

    The same on every process: what A begins with is drawn from a seed of its own. Raises UserError where a target names
    no linear layer.
    """
    from peft import LoraConfig, inject_adapter_in_model

    network.requires_grad_(False)
    config = LoraConfig(
        r=adapter.rank,
        lora_alpha=adapter.rank if adapter.alpha is None else adapter.alpha,
        target_modules=target_names(network, adapter.targets),
        use_dora=adapter.dora,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        inject_adapter_in_model(config, network)


def target_names(network: nn.Module, targets: list[str] | None) -> list[str]:
    """The full names of the linear layers that get an adapter."""
    linear = [name for name, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    if targets is None:
        inner = {layer for block in blocks(network) for layer in block.modules()}
        modules = dict(network.named_modules())
        return [name for name in linear if modules[name] in inner] or linear
    found = {target: [name for name in linear if f".{name}".endswith(f".{target}")] for target in targets}
    for target, names in found.items():
        if not names:
            ends = ", ".join(sorted({name.rpartition(".")[2] for name in linear}))
            raise UserError(f"model.adapter.targets {target}: no linear layer ends so; there are {ends}")
    return sorted({name for names in found.values() for name in names})


def twin(network: nn.Module) -> nn.Module:
    """A copy whose trained parameters are its own and whose frozen ones are those of `network`."""
    shared: dict[int, Any] = {id(p): p for p in network.parameters() if not p.requires_grad}
    return copy.deepcopy(network, shared)


def leave_frozen_out(module: Any) -> None:
    """Neither `state_dict` holds nor `load_state_dict` asks for what is frozen in `backbone` and in its twin `ema`."""

    def frozen() -> set[str]:
        names = [name for name, weight in module.backbone.named_parameters() if not weight.requires_grad]
        return {f"{network}.{name}" for network in ("backbone", "ema") for name in names}

    def leave_out(_: nn.Module, state: dict[str, Any], prefix: str, *args: Any) -> None:
        for name in frozen():
            state.pop(prefix + name, None)

    def not_missing(_: nn.Module, keys: Any) -> None:
        keys.missing_keys[:] = [name for name in keys.missing_keys if name not in frozen()]

    module.register_state_dict_post_hook(leave_out)
    module.register_load_state_dict_post_hook(not_missing)


def layers(network: nn.Module) -> Iterator[tuple[str, Any]]:
    """Name and layer of all that have an adapter; none where the network has none."""
    from peft.tuners.lora import LoraLayer

    return ((name, layer) for name, layer in network.named_modules() if isinstance(layer, LoraLayer))


@torch.no_grad()
def merged(network: nn.Module) -> nn.Module:
    """The network without adapters, its target layers updated by them; it shares all other weights."""
    shared: dict[int, Any] = {id(one): one for one in (*network.parameters(), *network.buffers())}
    plain = copy.deepcopy(network, shared)
    for name, layer in list(layers(plain)):
        base = layer.get_base_layer()
        base.weight = nn.Parameter(base.weight.clone(), requires_grad=False)
        layer.merge()
        parent, _, child = name.rpartition(".")
        setattr(plain.get_submodule(parent), child, base)
    plain.__dict__.pop("peft_config", None)
    return plain


def weights(network: nn.Module) -> dict[str, Tensor]:
    """`LAYER.lora_A.weight` (rank, in), `.lora_B.weight` (out, rank), of DoRA `.lora_magnitude_vector` (out,).

    alpha is folded into B: who reads them with alpha = rank, as readers do that are told of none, gets the strength
    that was trained.
    """
    found: dict[str, Tensor] = {}
    for name, layer in layers(network):
        found[f"{name}.lora_A.weight"] = layer.lora_A["default"].weight.detach()
        found[f"{name}.lora_B.weight"] = layer.lora_B["default"].weight.detach() * layer.scaling["default"]
        if "default" in layer.lora_magnitude_vector:
            found[f"{name}.lora_magnitude_vector"] = layer.lora_magnitude_vector["default"].weight.detach()
    return found


def load_file(pipeline: Any, slot: str, path: Path, *, base: Path) -> None:
    """Give the pipeline's networks the adapter of a LoRA file, in diffusers' or another program's names.

    A warning says where its header names other weights than those of the pipeline folder `base`. Raises UserError where
    there is no such file, or where a layer of it is none of the network's.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; name a LoRA, a .safetensors file")
    network = getattr(pipeline, slot)
    try:
        with safetensors.safe_open(path, "pt") as file:
            made_on = (file.metadata() or {}).get(BASE)
        if made_on not in (None, identity(base, slot)):
            log.warning("%s: made on other weights than those of %s; it may draw worse here", path, base)
        state = read_file(pipeline, slot, path)
        if reads_lora(pipeline, slot):
            pipeline.load_lora_weights(str(path.parent), weight_name=path.name)
        else:
            inject(network, state)
    except Exception as error:  # whatever diffusers, peft and safetensors make of a file
        raise UserError(
            f"{path}: no LoRA of this model ({components.first_line(error)}); give one of its base"
        ) from error
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


def read_file(pipeline: Any, slot: str, path: Path) -> dict[str, Tensor]:
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
