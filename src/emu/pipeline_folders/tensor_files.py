"""Files of weights, one tensor at a time: read where they lie, in shards or not, and written as one .safetensors.

Notable: what is written is never in memory at once. Tensors of a .safetensors are pages of that file, which the system
reads as they are asked for and lets go again; where they are written as they lie, it copies them by itself, as `cp`.
"""

import hashlib
import json
import os
import struct
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import chain
from math import prod
from pathlib import Path
from typing import BinaryIO
from zipfile import is_zipfile

import torch
from safetensors import safe_open
from torch import Tensor

from emu.errors import UserError
from emu.pipeline_folders import weight_files
from emu.storage import files

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
FEW = 64
KINDS = {name: dtype for dtype, name in DTYPES.items()}
PART = 2**18
"""Numbers that are written at a time. What was just computed is still in the processor's cache then; at once the
tensors of an SDXL take twice the time, in parts of a quarter or of four times as much a third longer."""


@dataclass(frozen=True)
class Span:
    """Bytes of a file, from `start` to `stop`."""

    path: Path
    start: int
    stop: int

    def part(self, start: int, stop: int) -> "Span":
        """Some of them, counted from its own start."""
        return Span(self.path, self.start + start, self.start + stop)

    def copy(self, out: BinaryIO) -> None:
        """Behind what was written, inside of the system; UserError where the file ends before."""
        out.flush()
        place = self.start
        with self.path.open("rb") as file:
            while place < self.stop:
                sent = os.sendfile(out.fileno(), file.fileno(), place, self.stop - place)
                if not sent:
                    raise UserError(f"{self.path}: was cut off while it was read; {weight_files.AGAIN}")
                place += sent


@dataclass(frozen=True)
class Stored:
    """A tensor that is not in memory: what it is like, and how it is read.

    Args:
        read: all of it.
        spans: where its bytes lie, one behind the other; none where they are no file's.
        blocks: its numbers in order, some at a time, each (n,) and only until the next is asked for; None for `read`'s.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    read: Callable[[], Tensor]
    spans: tuple[Span, ...] = ()
    blocks: Callable[[], Iterator[Tensor]] | None = None

    def to(self, dtype: torch.dtype | None) -> "Stored":
        """The same with other numbers, where it holds fractions and `dtype` is not None."""
        if dtype is None or dtype == self.dtype or not self.dtype.is_floating_point:
            return self
        return Stored(
            self.shape,
            dtype,
            read=lambda: self.read().to(dtype),
            blocks=lambda: (part.to(dtype) for part in self.parts()),
        )

    def rows(self, start: Fraction, stop: Fraction) -> "Stored":
        """Some of its rows, as fractions of all of them."""
        if stop - start == 1:
            return self
        first, last = (int(self.shape[0] * one) for one in (start, stop))
        row = self.bytes // self.shape[0]
        spans = (self.spans[0].part(first * row, last * row),) if len(self.spans) == 1 else ()
        return Stored((last - first, *self.shape[1:]), self.dtype, lambda: self.read()[first:last], spans)

    def parts(self) -> Iterator[Tensor]:
        """As `blocks`."""
        return self.blocks() if self.blocks else iter(self.read().detach().contiguous().view(-1).split(PART))

    def write(self, out: BinaryIO) -> None:
        """Its bytes behind what was written."""
        if self.spans and sys.platform == "linux":  # elsewhere files are copied into sockets alone
            for span in self.spans:
                span.copy(out)
        else:
            for part in self.parts():
                out.write(part.view(torch.uint8).numpy().data)

    @property
    def bytes(self) -> int:
        """Its size."""
        return prod(self.shape) * self.dtype.itemsize


def of(tensor: Tensor) -> Stored:
    """One that is in memory already."""
    return Stored(tuple(tensor.shape), tensor.dtype, lambda: tensor)


def of_file(path: Path) -> dict[str, Stored]:
    """A file's tensors by name, a .safetensors or torch's own; UserError where it is cut off."""
    weight_files.check_file(path)
    if path.suffix.lower() != ".safetensors":
        mapped = is_zipfile(path)  # as torch writes them since 1.6; older ones are read whole
        state: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
        return {name: of(tensor) for name, tensor in state.items()}
    opened = safe_open(path, "pt")
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    found: dict[str, Stored] = {}
    for name, one in header.items():
        if name == "__metadata__":
            continue
        if one["dtype"] not in KINDS:
            raise UserError(f"{path}: {name} is quantised to {one['dtype']}; give the file in bf16, fp16 or fp32")
        span = Span(path, *(8 + length + offset for offset in one["data_offsets"]))
        found[name] = Stored(tuple(one["shape"]), KINDS[one["dtype"]], partial(opened.get_tensor, name), (span,))
    return found


def joined(pieces: Sequence[Stored]) -> Stored:
    """One below the other, in the dtype of the first."""
    if len(pieces) == 1:
        return pieces[0]
    alike = [one.to(pieces[0].dtype) for one in pieces]
    return Stored(
        shape=(sum(one.shape[0] for one in alike), *alike[0].shape[1:]),
        dtype=alike[0].dtype,
        read=lambda: torch.cat([one.read() for one in alike]),
        spans=tuple(span for one in alike for span in one.spans) if all(one.spans for one in alike) else (),
        blocks=lambda: chain.from_iterable(one.parts() for one in alike),
    )


def of_component(folder: Path) -> dict[str, Stored]:
    """The tensors of a pipeline's component, from all of its shards; UserError where one is missing or cut off."""
    return {name: tensor for path in weight_files.paths_of(folder) for name, tensor in of_file(path).items()}


def sample(folder: Path) -> str:
    """sha256 of the names, shapes and first `FEW` numbers of a component's tensors, in whatever files they lie.

    However large it is, a page a tensor is read; training changes all of them.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(of_component(folder).items()):
        first = tensor.read().detach().view(-1)[:FEW].float().contiguous()
        digest.update(f"{name} {tensor.shape} ".encode() + first.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


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
            tensor.write(file)
