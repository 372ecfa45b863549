"""The files that the weights of a component lie in: whichever variant, one or shards, whole."""

import json
import re
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError, safe_open

from emu.errors import UserError, first_line
from emu.terminal.bars import only_ours

AGAIN = "download or copy the folder again"
EIGHTS = {"F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2}  # numbers that were rounded to be drawn with
POINTER = b"version https://git-lfs"


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


def paths_of(folder: Path) -> list[Path]:
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


def load(kind: Any, place: object, *, unused: str | None = None, **how: Any) -> Any:
    """What `kind.from_pretrained(place, **how)` makes of a network's files, all of its weights from them.

    Libraries draw at random what is missing or of another shape, and say so in a warning at most. Here it is a
    ValueError, but for weights whose names begin with `unused`; what else the library raises comes through.
    """
    only_ours()
    of_diffusers = any(one.__module__.startswith("diffusers.") for one in kind.__mro__)
    telling = {} if of_diffusers else {"ignore_mismatched_sizes": True}  # it would say only that there are some
    network, found = kind.from_pretrained(place, output_loading_info=True, **telling, **how)
    for fault in ("missing", "mismatched"):
        keys = sorted(str(key[0] if isinstance(key, tuple) else key) for key in found[f"{fault}_keys"])
        if names := [key for key in keys if unused is None or not key.startswith(unused)]:
            raise ValueError(
                f"its weights are not those that its config.json describes, {len(names)} are {fault}, such as "
                f"{names[0]}"
            )
    return network


def stored_dtype(folder: Path) -> torch.dtype:
    """What the first of a component's weights is stored in; bfloat16 where its file would have to be read for that."""
    file = paths_of(folder)[0]
    if file.suffix != ".safetensors":
        return torch.bfloat16
    with safe_open(file, "pt") as held:
        kind = held.get_slice(next(iter(held.keys()))).get_dtype()
    return {"F32": torch.float32, "F16": torch.float16}.get(kind, torch.bfloat16)


def require_unquantised(folder: Path) -> None:
    """UserError where a component's weights were rounded to 8 bits: what is trained would begin from that."""
    for path in paths_of(folder):
        if path.suffix.lower() != ".safetensors":
            continue
        with safe_open(path, "pt") as held:
            kinds = {held.get_slice(key).get_dtype() for key in held.keys()}  # noqa: SIM118
        if found := sorted(kinds & EIGHTS.keys()):
            raise UserError(f"{path}: quantised to {found[0]}; give the folder with weights in bf16, fp16 or fp32")


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
    if path.suffix.lower() != ".safetensors":
        return
    try:
        with safe_open(path, "pt"):
            pass
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: damaged or cut off ({first_line(error)}); {AGAIN}") from error
