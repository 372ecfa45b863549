"""Files of weights, one tensor at a time: read where they lie, in shards or not, and written as one .safetensors.

Notable: what is written is never in memory at once. Tensors of a .safetensors are pages of that file, which the system
reads as they are asked for and lets go again.
"""

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from emu import components, files

DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
KINDS = {name: dtype for dtype, name in DTYPES.items()}


@dataclass(frozen=True)
class Stored:
    """A tensor that is not in memory: what it is like, and how it is read."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    read: Callable[[], Tensor]

    def to(self, dtype: torch.dtype | None) -> "Stored":
        """The same with other numbers, where it holds fractions and `dtype` is not None."""
        if dtype is None or not self.dtype.is_floating_point:
            return self
        return replace(self, dtype=dtype, read=lambda: self.read().to(dtype))

    @property
    def bytes(self) -> int:
        """Its size."""
        return prod(self.shape) * self.dtype.itemsize


def of(tensor: Tensor) -> Stored:
    """One that is in memory already."""
    return Stored(tuple(tensor.shape), tensor.dtype, lambda: tensor)


def of_file(path: Path) -> dict[str, Stored]:
    """A file's tensors by name, a .safetensors or torch's own; UserError where it is cut off."""
    components.check_file(path)
    if path.suffix != ".safetensors":
        state: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        return {name: of(tensor) for name, tensor in state.items()}
    opened = safe_open(path, "pt")
    found: dict[str, Stored] = {}
    for name in opened.keys():  # noqa: SIM118  (no mapping)
        view = opened.get_slice(name)
        found[name] = Stored(tuple(view.get_shape()), KINDS[view.get_dtype()], _reader(opened, name))
    return found


def _reader(opened: safe_open, name: str) -> Callable[[], Tensor]:
    return lambda: opened.get_tensor(name)


def of_component(folder: Path) -> dict[str, Stored]:
    """The tensors of a pipeline's component, from all of its shards; UserError where one is missing or cut off."""
    return {name: tensor for path in components.weight_files(folder) for name, tensor in of_file(path).items()}


def write(path: Path, tensors: Mapping[str, Stored], about: Mapping[str, str]) -> None:
    """Write a .safetensors, whole or not at all; `about` is what its header says beside names and shapes."""
    order = sorted(tensors.items(), key=lambda one: -one[1].dtype.itemsize)  # so that each lies at a multiple of it
    header: dict[str, object] = {"__metadata__": dict(about)}
    end = 0
    for name, tensor in order:
        header[name] = {
            "dtype": DTYPES[tensor.dtype],
            "shape": tensor.shape,
            "data_offsets": [end, end + tensor.bytes],
        }
        end += tensor.bytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with files.replacing(path) as beside, beside.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, tensor in order:
            file.write(tensor.read().detach().contiguous().reshape(-1).view(torch.uint8).numpy())  # type: ignore[arg-type]
