"""Weights of judges: read without running anything that is in a file, and known by their hash."""

import hashlib
import pickle
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from emu.errors import UserError, first_line
from emu.storage import files
from emu.terminal.bars import only_ours
from emu.terminal.counted import many


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights as somebody published it.

    Args:
        path: a `.safetensors` file, or one of torch.
        expected: its sha256, or the first 8 digits or more; None takes any file.
    """

    path: Path
    expected: str | None

    def read(self, *, wanted: str) -> Any:
        """What the file holds; no code in it is run.

        UserError, which says what is `wanted`: absent, damaged, holds more than plain values, or another file.
        """
        try:
            held = load_file(self.path) if self.path.suffix == ".safetensors" else self._read_torch()
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, SafetensorError) as error:
            raise UserError(f"{self.path}: not read as weights ({first_line(error)}); name {wanted}") from error
        require_sha256(self.sha256, self.expected, of=str(self.path))
        return held

    def require(self, *, wanted: str) -> None:
        """UserError, which says what is `wanted`, where there is no such file; it is not read."""
        if not self.path.is_file():
            raise UserError(f"{self.path}: no such file; name {wanted}")

    @cached_property
    def sha256(self) -> str:
        """Of the file's bytes."""
        return files.sha256(self.path)

    def _read_torch(self) -> Any:
        return torch.load(self.path, map_location="cpu", weights_only=True)


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
    """A transformers model of `kind`, in float32 and evaluation mode, with exactly these tensors.

    UserError: one is missing or left over. No weights are drawn on the way, so no seed moves.
    """
    with torch.device("meta"):
        wanted = {name: tuple(tensor.shape) for name, tensor in kind(config).state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if wrong := sorted(name for name in wanted.keys() | given.keys() if wanted.get(name) != given.get(name)):
        found, asked = (shapes.get(wrong[0], "absent") for shapes in (given, wanted))
        raise UserError(
            f"{of}: {many(len(wrong), 'weight does', 'weights do')} not fit, such as {wrong[0]}: {found} where the "
            f"model has {asked}"
        )
    only_ours()
    model = kind.from_pretrained(None, config=config, state_dict=tensors, dtype=torch.float32)
    return model.eval().requires_grad_(False)
