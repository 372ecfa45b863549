"""Low-rank adapters: a few small matrices train beside a network whose own weights stay as they are.

    emu fit -c latent/sdxl -c adapters/lora --data.root my/needles

Hu et al. 2021, arXiv 2106.09685: a layer W x becomes W x + alpha / rank * B A x, where A (rank, in) and B (out, rank)
train and B begins at 0. Notable: it works on any network, a user's own included, and knows of it only its blocks.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from emu.errors import UserError
from emu.networks import nf4
from emu.networks.blocks import blocks
from emu.pipeline_folders import tensor_files
from emu.pipeline_folders.tensor_files import Stored


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
    """Freeze `network` and give its target layers an adapter in float32, in place; their outputs are unchanged.

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
    for weight in network.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()  # peft gives it the dtype of its layer, and it is small


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


@torch.no_grad()
def merged_weight(layer: Any) -> Tensor:
    """The weight of one layer, its adapter added to a copy; what is in 4 bits is unpacked for it."""
    alone, base = copy.deepcopy(layer), layer.get_base_layer()
    if isinstance(base, nf4.NF4Linear):
        alone.base_layer = base.unpacked()
    alone.merge()
    weight: Tensor = alone.get_base_layer().weight.detach()
    return weight


@torch.no_grad()
def merged_rows(layer: Any, room: Tensor) -> Iterator[Tensor]:
    """The same without DoRA, some rows at a time, (n,) each and only until the next are asked for.

    They lie in `room` where it is large enough: memory that is asked for anew costs as much as the sum.
    """
    weight = layer.get_base_layer().weight.detach()
    down, up = (matrices["default"].weight.detach() for matrices in (layer.lora_A, layer.lora_B))
    rows = max(1, tensor_files.PART // weight.shape[1])
    if weight.shape[1] > len(room):
        room = room.new_empty(weight.shape[1])
    for some, updates in zip(weight.split(rows), up.split(rows), strict=True):
        out = room[: some.numel()].view(some.shape)
        torch.addmm(some.to(room), updates, down, alpha=layer.scaling["default"], out=out)
        yield out.to(weight).view(-1)


def tensors(network: nn.Module) -> dict[str, Stored]:
    """The network's tensors without adapters, as its folder has them.

    A layer that has an adapter is updated by it as its weight is read, and what is in 4 bits is unpacked then.
    """
    adapted, room = dict(layers(network)), torch.empty(tensor_files.PART)
    found: dict[str, Stored] = {}
    for name, whole in nf4.tensors(network).items():
        layer, inside, end = name.rpartition(".base_layer.")
        if inside and layer in adapted:
            found[f"{layer}.{end}"] = _updated(adapted[layer], whole, room) if end == "weight" else whole
        elif name.partition(".lora_")[0] not in adapted:
            found[name] = whole
    return found


def _updated(layer: Any, weight: Stored, room: Tensor) -> Stored:
    blocks = None if layer.use_dora["default"] else lambda: merged_rows(layer, room)
    return replace(weight, read=lambda: merged_weight(layer), blocks=blocks)
