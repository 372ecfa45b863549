"""The layers of a pipeline's component, by every name that files have for them, from its description or its network."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from emu.errors import UserError
from emu.loras.names import Spellings
from emu.originals import Piece, layout
from emu.pipeline_folders import components, folders, weight_files
from emu.storage.records import read_json
from emu.storage.shapes import ComponentConfig

END = ".weight"

Shapes = Mapping[str, torch.Size]
"""Of layers' weights by the layers' names, or of tensors by theirs."""


@dataclass(frozen=True)
class Component:
    """What the layers of a file are held against."""

    shapes: Shapes
    spellings: Spellings


def of_folder(name: str, folder: Path) -> Component | None:
    """Of a pipeline folder's component, by its description; None where nothing can be made of that."""
    kind = components.used(folders.read_index(folder)).get(name)
    if kind is None:  # a class that only its module can load
        return None
    try:
        tensors = components.outline(folder / name, kind)
    except Exception:  # whatever a library makes of a damaged description, which is said when it is loaded
        return None
    config = read_json(folder / name / "config.json", ComponentConfig, remedy=weight_files.AGAIN)
    return _component(name, tensors, kind.__name__, config)


def of_network(name: str, network: nn.Module) -> Component:
    """Of a network, whether or not it has an adapter."""
    return _component(name, _tensors(network), type(network).__name__, getattr(network, "config", {}))


def published(network: nn.Module) -> dict[str, tuple[Piece, ...]]:
    """Layer where the model was first published -> the layers, or rows of them, that it is made of.

    Empty where diffusers reads none of its kind.
    """
    return _published(type(network).__name__, _tensors(network), getattr(network, "config", {}))


def _tensors(network: nn.Module) -> Shapes:
    """Of the network without adapters."""
    held = {key.replace(".base_layer.", "."): one.shape for key, one in network.state_dict().items()}
    return {key: shape for key, shape in held.items() if ".lora_" not in key}


def _published(kind: str, held: Iterable[str], config: Any) -> dict[str, tuple[Piece, ...]]:
    try:
        made = layout(kind, held, config)
    except UserError:
        return {}
    return {
        name.removesuffix(END): tuple(Piece(one.name.removesuffix(END), one.start, one.stop) for one in whole.pieces)
        for name, whole in made.items()
        if name.endswith(END) and whole.form in ("same", "convolution")
    }


def _component(name: str, tensors: Shapes, kind: str, config: Any) -> Component:
    weights = {key.removesuffix(END): shape for key, shape in tensors.items() if key.endswith(END) and len(shape) > 1}
    original = {key: made for key, made in _published(kind, tensors, config).items() if made[0].name in weights}
    return Component(weights, Spellings(name, weights, original))
