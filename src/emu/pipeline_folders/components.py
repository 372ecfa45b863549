"""The components of a pipeline folder: what each one is, whether its files are whole, and the networks in them.

Notable: libraries draw what their files lack at random and say so in a warning at most; here it is an error.
"""

import inspect
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from torch import nn

from emu.errors import UserError, first_line, not_installed
from emu.pipeline_folders import weight_files
from emu.pipeline_folders.weight_files import AGAIN

UNUSED = ("safety_checker", "watermarker", "feature_extractor", "image_encoder", "pe", "pe_tokenizer")
"""Neither tuning nor drawing from text uses these: they are not loaded, and an export copies their files.

The last two rewrite prompts (ERNIE-Image).
"""


def used(index: Mapping[str, Any]) -> dict[str, type[Any] | None]:
    """`model_index.json` -> component -> its class, of those that are there and used; None for a class unknown here."""
    parts = {name: part for name, part in index.items() if is_part(part) and name not in UNUSED}
    return {name: class_of(library, kind) for name, (library, kind) in parts.items() if library is not None}


def is_part(entry: Any) -> bool:
    """Whether an entry of the index is of a component: a list, but for one of numbers, which is a setting."""
    return isinstance(entry, list) and (not entry or not all(isinstance(one, int | float) for one in entry))


def class_of(library: str, name: str) -> type[Any] | None:
    """A class of diffusers, transformers or emu, or of a module that runs already, as a user's own architecture does.

    None for any other: what a folder names is not imported for it.
    """
    if library.startswith("emu."):
        return getattr(import_module(library), name, None)
    known = {"diffusers": diffusers, "transformers": transformers}
    return getattr(known.get(library) or sys.modules.get(library), name, None)


def accepted(stand_ins: Mapping[str, Any]) -> dict[str, Any]:
    """What `from_pretrained` takes for components that are given: no tokenizer where a folder has a processor."""
    return {name: one if isinstance(one, transformers.ProcessorMixin) else None for name, one in stand_ins.items()}


def required(pipeline_class: type[Any]) -> set[str]:
    """The components that a pipeline cannot be made without."""
    parameters = inspect.signature(pipeline_class).parameters.values()
    return {one.name for one in parameters if one.default is one.empty} - {*UNUSED}


def not_there(pipeline_class: type[Any], index: Mapping[str, Any]) -> dict[str, None]:
    """Arguments without which `pipeline_class.from_pretrained` refuses a folder that leaves these components out."""
    there = {name for name, part in index.items() if is_part(part) and part[0] is not None}
    parameters = inspect.signature(pipeline_class).parameters.values()
    asked = [one.name for one in parameters if one.default is one.empty]
    return {name: None for name in asked if name not in {*there, *getattr(pipeline_class, "_optional_components", ())}}


def modules(index: Mapping[str, Any]) -> list[str]:
    """Of emu's own parts: diffusers loads from no module that a folder names and nobody has imported."""
    libraries = {part[0] for part in index.values() if is_part(part) and part[0] is not None}
    return sorted(one for one in libraries if one.startswith("emu."))


def left_out(pipeline_class: type[Any], index: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `pipeline_class.from_pretrained` that leave out what is unused, and what the folder leaves out.

    SDXL's pipeline would put a watermark into every picture where that package is installed, and only there.
    """
    known = inspect.signature(pipeline_class).parameters
    absent = {name: None for name, part in index.items() if is_part(part) and part[0] is None}
    flags = {"requires_safety_checker": False, "add_watermarker": False}
    return absent | {name: None for name in UNUSED if name in known} | {k: v for k, v in flags.items() if k in known}


def load_networks(
    folder: Path, index: Mapping[str, Any], dtypes: Mapping[str, torch.dtype | None]
) -> dict[str, nn.Module]:
    """Component -> network, of those in `dtypes`, None for the files' own.

    UserError where a file of any is missing, torn or another's.
    """
    for name, kind in used(index).items():
        check(folder / name, kind)
    kinds = networks(index)
    return {name: load_network(folder / name, kinds[name], dtype=dtype) for name, dtype in dtypes.items()}


def is_network(kind: type[Any]) -> bool:
    """Whether a component of this class has weights."""
    return issubclass(kind, nn.Module)


def check(folder: Path, kind: type[Any] | None) -> None:
    """Raise UserError where a component is not there, or lacks its description or its vocabulary."""
    if not folder.is_dir():
        raise UserError(f"{folder}: not there, and the folder's model_index.json names it; {AGAIN}")
    try:
        files = dict(getattr(kind, "vocab_files_names", {}))
    except ImportError as error:  # in place of a class that needs a package transformers has one that says so
        raise UserError(f"{folder}: {not_installed(error)}") from None
    whole = files.pop("tokenizer_file", None)
    needed = list(files.values())  # without one of them a tokenizer would cut words otherwise, and not say so
    if whole and (folder / whole).is_file():
        needed = [whole]
    needed += ["tokenizer_config.json"] if needed else ["config.json"] if kind and is_network(kind) else []
    for name in needed:
        if not (folder / name).is_file():
            raise UserError(f"{folder / name}: no such file, and {folder.name} needs it; {AGAIN}")


def networks(index: Mapping[str, Any]) -> dict[str, type[Any]]:
    """Component -> its class, of those that are there, used and have weights."""
    return {name: kind for name, kind in used(index).items() if kind and is_network(kind)}


def is_encoder(kind: type[Any]) -> bool:
    """Whether a component of this class reads text, as all networks of transformers do in a pipeline of diffusers."""
    return issubclass(kind, transformers.PreTrainedModel)


def load_network(folder: Path, kind: type[Any], *, dtype: torch.dtype | None = torch.float32) -> nn.Module:
    """The network of a component's folder, whichever variant of its weights lies there; they may stay in the file."""
    of_transformers = is_encoder(kind)
    variant = weight_files.find_weights(folder, "model" if of_transformers else None)
    if not of_transformers:
        weight_files.require_unquantised(folder)
    dtype = dtype or weight_files.stored_dtype(folder)
    try:
        network: nn.Module = weight_files.load(kind, folder, variant=variant, dtype=dtype, local_files_only=True)
    except Exception as error:  # whatever a library makes of a damaged folder: OSError, KeyError, UnpicklingError ...
        raise UserError(f"{folder}: {kind.__name__} cannot be loaded ({first_line(error)}); {AGAIN}") from error
    return network


def from_config(folder: Path, kind: type[Any]) -> nn.Module:
    """A network with new weights."""
    if is_encoder(kind):
        config_class: Any = kind.config_class
        config: Any = config_class.from_pretrained(folder)
        part: Any = getattr(config, "encoder", None)  # of T5Gemma's, which is of an encoder and a decoder
        alone = kind.__name__.endswith("Encoder") and isinstance(part, transformers.PreTrainedConfig)
        found: nn.Module = kind(part if alone else config)
        return found
    described: Any = kind
    network: nn.Module = described.from_config(described.load_config(folder))
    return network


def outline(folder: Path, kind: type[Any]) -> dict[str, torch.Size]:
    """Name -> shape of a network's weights, by its config; of tied ones the one that is stored."""
    with torch.device("meta"):
        network = from_config(folder, kind)
    tied = getattr(network, "_tied_weights_keys", None) or ()
    return {name: weight.shape for name, weight in network.state_dict().items() if name not in tied}
