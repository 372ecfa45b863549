"""The components of a pipeline folder: what each one is, whether its files are whole, and the networks in them.

Notable: libraries draw what their files lack at random and say so in a warning at most; here it is an error.
"""

import inspect
import json
import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from safetensors import SafetensorError, safe_open
from torch import nn

from emu.errors import UserError, first_line

UNUSED = ("safety_checker", "watermarker", "feature_extractor", "image_encoder", "pe", "pe_tokenizer")
"""Neither tuning nor drawing from text uses these: they are not loaded, and an export copies their files.

The last two rewrite prompts (ERNIE-Image).
"""

AGAIN = "download or copy the folder again"
POINTER = b"version https://git-lfs"


def used(index: Mapping[str, Any]) -> dict[str, type[Any] | None]:
    """`model_index.json` -> component -> its class, of those that are there and used; None for a class unknown here."""
    parts = {name: part for name, part in index.items() if is_part(part) and name not in UNUSED}
    return {name: class_of(library, kind) for name, (library, kind) in parts.items() if library is not None}


def is_part(entry: Any) -> bool:
    """Whether an entry of the index is of a component: a list, but for one of numbers, which is a setting."""
    return isinstance(entry, list) and (not entry or not all(isinstance(one, int | float) for one in entry))


def class_of(library: str, name: str) -> type[Any] | None:
    """A class of diffusers, transformers or emu; None where the folder names one of its own."""
    if library.startswith("emu."):
        return getattr(import_module(library), name, None)
    return getattr({"diffusers": diffusers, "transformers": transformers}.get(library), name, None)


def required(pipeline_class: type[Any]) -> set[str]:
    """The components that a pipeline cannot be made without."""
    parameters = inspect.signature(pipeline_class).parameters.values()
    return {one.name for one in parameters if one.default is one.empty} - {*UNUSED}


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
        lacking = str(error).strip().partition(" but ")[0]
        raise UserError(f"{folder}: {lacking}, which is not installed; pip install it") from None
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
    variant = find_weights(folder, "model" if of_transformers else None)
    dtype = dtype or stored_dtype(folder)
    telling = {"ignore_mismatched_sizes": True} if of_transformers else {}  # it would say only that there are some
    try:
        network, found = kind.from_pretrained(
            folder, variant=variant, dtype=dtype, local_files_only=True, output_loading_info=True, **telling
        )
    except Exception as error:  # whatever a library makes of a damaged folder: OSError, KeyError, UnpicklingError ...
        raise UserError(f"{folder}: {kind.__name__} cannot be loaded ({first_line(error)}); {AGAIN}") from error
    for fault in ("missing", "mismatched"):
        if names := sorted(str(key[0] if isinstance(key, tuple) else key) for key in found[f"{fault}_keys"]):
            raise UserError(
                f"{folder}: its weights are not those that its config.json describes, {len(names)} are {fault} "
                f"({names[0]} ...); {AGAIN}"
            )
    loaded: nn.Module = network
    return loaded


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


def weights_name(kind: type[Any]) -> str:
    """The file of a component's weights, in its folder."""
    return f"{'model' if issubclass(kind, transformers.PreTrainedModel) else 'diffusion_pytorch_model'}.safetensors"


def find_weights(folder: Path, stem: str | None) -> str | None:
    """The variant of the weights to load, None for the plain ones; UserError where there are none, or torn ones.

    stem: "model" for transformers' names of files, None for diffusers'.
    """
    safe, pickled = ("model", "pytorch_model") if stem else ("diffusion_pytorch_model",) * 2
    kinds = ((safe, "safetensors"), (pickled, "bin"))
    for name, end in kinds:
        if _whole(folder, f"{name}.{end}", f"{name}.{end}.index.json"):
            return None
    variants = {
        found[1] or found[2]
        for name, end in kinds
        for path in folder.glob(f"{name}.*")
        if (found := re.fullmatch(rf"{name}\.(?:([^.]+)\.{end}|{end}\.index\.([^.]+)\.json)", path.name))
        and "-of-" not in path.name
    }
    for variant in sorted(variants, key=lambda one: (one not in ("fp16", "bf16"), one)):
        for name, end in kinds:
            if _whole(folder, f"{name}.{variant}.{end}", f"{name}.{end}.index.{variant}.json"):
                return variant
    others = ", ".join(sorted(path.name for path in folder.iterdir() if path.name != "config.json")[:3])
    raise UserError(f"{folder}: no {safe}.safetensors nor {pickled}.bin{f', only {others}' * bool(others)}; {AGAIN}")


def weight_files(folder: Path) -> list[Path]:
    """The files that a component's weights lie in, of whichever variant; UserError where one is missing or torn."""
    of_transformers = not any(folder.glob("diffusion_pytorch_model*"))
    variant = find_weights(folder, "model" if of_transformers else None)
    names = ("model", "pytorch_model") if of_transformers else ("diffusion_pytorch_model",) * 2
    middle = f".{variant}" if variant else ""
    for name, end in zip(names, ("safetensors", "bin"), strict=True):
        index = folder / f"{name}.{end}.index{middle}.json"
        if (file := folder / f"{name}{middle}.{end}").is_file():
            return [file]
        if index.is_file():
            return [folder / shard for shard in sorted(set(json.loads(index.read_text())["weight_map"].values()))]
    raise AssertionError(f"find_weights found {variant} in {folder}")


def stored_dtype(folder: Path) -> torch.dtype:
    """What the first of a component's weights is stored in; bfloat16 where its file would have to be read for that."""
    file = weight_files(folder)[0]
    if file.suffix != ".safetensors":
        return torch.bfloat16
    with safe_open(file, "pt") as held:
        kind = held.get_slice(next(iter(held.keys()))).get_dtype()
    return {"F32": torch.float32, "F16": torch.float16}.get(kind, torch.bfloat16)


def only_variant(folder: Path) -> str | None:
    """The variant that a component's weights are there as; None where they have the plain names, or are none."""
    for stem in ("model", None):
        try:
            return find_weights(folder, stem)
        except UserError:  # of the other library, of a tokenizer or scheduler, or a damaged one that nothing uses
            continue
    return None


def _whole(folder: Path, file: str, index: str) -> bool:
    """Whether weights are there as one file or as shards; UserError where they are not all there."""
    if (folder / file).is_file():
        check_file(folder / file)
        return True
    if not (folder / index).is_file():
        return False
    try:
        shards = set(json.loads((folder / index).read_text())["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{folder / index}: not an index of weights ({first_line(error)}); {AGAIN}") from error
    for shard in sorted(shards):
        if not (folder / shard).is_file():
            raise UserError(f"{folder / shard}: no such file, and {index} names it; {AGAIN}")
        check_file(folder / shard)
    return True


def check_file(path: Path) -> None:
    """Raise UserError where a file of weights is cut off, or only stands for one."""
    with path.open("rb") as file:
        if file.read(len(POINTER)) == POINTER:
            raise UserError(f"{path}: stands for a file that git-lfs has not fetched; run `git lfs pull` in the folder")
    if path.suffix != ".safetensors":
        return
    try:
        with safe_open(path, "pt"):
            pass
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: damaged or cut off ({first_line(error)}); {AGAIN}") from error
