"""The config of an untrained pipeline, read and checked: an architecture, a picture size, and its components.

model: emu.models.LatentDiffusion
resolution: 64
components:
  unet: {sample_size: 16, in_channels: 8, ...}   # as its config.json would say it
  vae: runs/autoencoder                           # a folder, its own or a pipeline's, or a hub name
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emu.class_paths import named
from emu.errors import UserError
from emu.module import TextToImageModule
from emu.storage import documents

KEYS = ("model", "resolution", "components")


@dataclass(frozen=True)
class Plan:
    """What is to be made.

    Args:
        architecture: whose pipeline it is.
        resolution: side of its pictures in pixels.
        components: argument of the pipeline's constructor -> a name to load, a config, or a plain setting.
        types: argument of the pipeline's constructor -> the classes that it takes.
    """

    architecture: type[TextToImageModule]
    resolution: int
    components: dict[str, Any]
    types: dict[str, tuple[Any, ...]]


def read(path: Path) -> Plan:
    """Raises UserError where the config names what is not there, or leaves out what the pipeline needs."""
    document = documents.read_mapping(path, keys=KEYS)
    documents.require_known(document, KEYS, where=str(path))
    if absent := [key for key in KEYS if key not in document]:
        raise UserError(f"{path}: no key {absent[0]}; it has {', '.join(KEYS)}")
    resolution, components = document["resolution"], document["components"]
    if type(resolution) is not int or resolution < 1:
        raise UserError(f"{path}: resolution {resolution}: give the side of a picture in pixels")
    if not isinstance(components, dict):
        raise UserError(f"{path}: components: give a mapping from the pipeline's components to their configs")
    architecture = named.find(
        str(document["model"]), TextToImageModule, where=f"{path}: model", like="emu.models.LatentDiffusion"
    )
    types = architecture.pipeline_class._get_signature_types()
    if unknown := [name for name in components if name not in types]:
        raise UserError(f"{path}: components.{unknown[0]}: {_name(architecture)} has {', '.join(types)}")
    needed = [name for name in _components(architecture) if components.get(name) is None]
    if absent := [name for name in needed if name not in _optional(architecture)]:
        raise UserError(f"{path}: components.{absent[0]} is missing; {_name(architecture)} needs it")
    for name in _components(architecture):
        if not isinstance(components.get(name), str | dict | None):
            raise UserError(f"{path}: components.{name} {components[name]}: give its config, a folder or a hub name")
    return Plan(architecture, resolution, {**dict.fromkeys(needed), **components}, types)


def _components(architecture: type[TextToImageModule]) -> list[str]:
    names, _ = architecture.pipeline_class._get_signature_keys(architecture.pipeline_class)
    return sorted(names)


def _optional(architecture: type[TextToImageModule]) -> list[str]:
    """Left out, they are None; a tokenizer or text encoder is not, though some pipelines do without at hand."""
    optional: list[str] = architecture.pipeline_class._optional_components
    return [name for name in optional if not name.startswith(("tokenizer", "text_encoder"))]


def _name(architecture: type[TextToImageModule]) -> str:
    return architecture.pipeline_class.__name__
