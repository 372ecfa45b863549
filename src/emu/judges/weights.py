"""Weights of judges: read without running anything that is in a file, and known by their hash."""

import hashlib
import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from emu.errors import UserError


def read_tensors(path: Path, *, wanted: str) -> Any:
    """What a `.safetensors` file, or one of torch, holds; no code in it is run.

    Raises UserError, saying what is `wanted`, for a file that is absent, damaged, or holds more than plain values.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, SafetensorError) as error:
        said = str(error).partition("\n")[0]
        raise UserError(f"{path}: not read as weights ({said}); name {wanted}") from error


def weights_sha256(model: nn.Module) -> str:
    """Of a model's tensors in the order of their names: the same for a hub name and for a copy in a folder."""
    digest = hashlib.sha256()
    tensors = model.state_dict()
    for name in sorted(tensors):
        digest.update(tensors[name].detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def require_sha256(found: str, expected: str | None, *, of: str) -> None:
    """Refuse weights that are not the expected ones; `expected` may be the beginning of a hash, of 8 digits or more."""
    if expected is not None and (len(expected) < 8 or not found.startswith(expected.lower())):
        raise UserError(f"{of}: weights have sha256 {found}, not {expected} as asked for; name those that were meant")


def loaded(kind: Any, config: Any, tensors: dict[str, Tensor], *, of: str) -> Any:
    """A transformers model of `kind` in float32 with exactly these tensors; UserError where one misses or is left.

    No weights are drawn on the way, so no seed moves.
    """
    with torch.device("meta"):
        wanted = {name: tuple(tensor.shape) for name, tensor in kind(config).state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if wrong := sorted(name for name in wanted.keys() | given.keys() if wanted.get(name) != given.get(name)):
        found, asked = (shapes.get(wrong[0], "absent") for shapes in (given, wanted))
        raise UserError(
            f"{of}: {len(wrong)} weights do not fit, such as {wrong[0]}: {found} where the model has {asked}"
        )
    return kind.from_pretrained(None, config=config, state_dict=tensors, dtype=torch.float32)
