"""A part of a single file as a component's folder: held against what describes it, and written."""

import shutil
from pathlib import Path
from typing import Any

import torch

from emu import originals
from emu.errors import UserError
from emu.pipeline_folders import components, folders, tensor_files, weight_files
from emu.single_files.contents import Part


def kinds(description: Path) -> dict[str, type[Any]]:
    """Component -> class, of the networks of a pipeline folder that are used."""
    return components.networks(folders.read_index(description))


def require_fit(part: Part, folder: Path, *, where: str, layers: tuple[str, ...] = ()) -> None:
    """UserError where a network of a file is not the one that its component's folder describes."""
    kind = kinds(folder.parent)[folder.name]
    if wrong := part.misfit(_wanted(folder, kind), layers=layers):
        raise UserError(f"{where} is no {kind.__name__} as {folder} describes it: {wrong}; give one of that family")


def write(target: Path, part: Part, described: Path) -> None:
    """A component's folder: a part's weights, and the config that describes it."""
    kind = kinds(described.parent)[described.name]
    wanted, tensors = _wanted(described, kind), part.converted()
    target.mkdir()
    shutil.copyfile(described / "config.json", target / "config.json")
    held = {key: tensor_files.of(tensors[key]) for key in wanted}
    tensor_files.write(target / weight_files.weights_name(kind), held, {"format": "pt"})


def _wanted(folder: Path, kind: type[Any]) -> dict[str, torch.Size]:
    shapes = components.outline(folder, kind)
    return {originals.wrapped(name): shape for name, shape in shapes.items()} if components.is_encoder(kind) else shapes
