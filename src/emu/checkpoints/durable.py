"""Checkpoint files: written beside, synced and renamed; known by a sum that is written last and checked first."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch
from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from emu import runs
from emu.errors import UserError


class Durable(CheckpointIO):
    """Writes beside, syncs, renames, and adds the sum; reads what is as its sum says, and runs no code in it."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """UserError: a number is not finite, or the disk is full or cannot be written to; what was there stays."""
        path = Path(path)
        for name, tensor in _tensors(checkpoint):
            if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                raise UserError(f"{path}: not saved, {name} holds a number that is not finite; the last good one stays")
        beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _require_space(path.parent, sum(tensor.nbytes for _, tensor in _tensors(checkpoint)))
            with beside.open("wb") as file:
                summed = Summed(file)
                torch.save(checkpoint, cast(BinaryIO, summed))
                file.flush()
                os.fsync(file.fileno())
            # An old sum would call the new file damaged; without one it is taken as it is, and it is whole by now.
            sums_of(path).unlink(missing_ok=True)
            beside.rename(path)
            told = {"bytes": summed.bytes, "sha256": summed.sha256.hexdigest(), "step": checkpoint["global_step"]}
            runs.write_atomically(sums_of(path), json.dumps(told).encode())
            for one in (sums_of(path), path.parent):
                runs.to_disk(one)
        except OSError as error:
            raise UserError(f"{path}: not saved ({error.strerror}); the last good one stays") from error
        finally:
            beside.unlink(missing_ok=True)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """UserError where the file is not as its sum says."""
        verify(Path(path))
        loaded: dict[str, Any] = torch.load(path, map_location=map_location or "cpu", weights_only=True, mmap=True)
        return loaded

    def remove_checkpoint(self, path: Any) -> None:
        """The sum goes first: a file without one does not count."""
        for one in (sums_of(Path(path)), Path(path)):
            one.unlink(missing_ok=True)


class Summed:
    """A file to write to that counts its bytes and sums them up on the way."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.bytes, self.sha256 = file, 0, hashlib.sha256()

    def write(self, content: bytes) -> int:
        self.sha256.update(content)
        self.bytes += len(content)
        return self.file.write(content)

    def flush(self) -> None:
        self.file.flush()


def sums_of(path: Path) -> Path:
    """The file beside a checkpoint that tells its size and sum."""
    return path.with_name(f"{path.name}.json")


def verify(path: Path) -> None:
    """UserError where a checkpoint is not what was written; one without a sum is taken as it is."""
    if not sums_of(path).exists():
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    try:
        same = found == json.loads(sums_of(path).read_text())["sha256"]
    except (ValueError, KeyError, TypeError):  # the sum itself is damaged
        same = False
    if not same:
        raise UserError(f"{path}: damaged since it was written (its sha256 is another); name an older checkpoint")


def newest(run: Path) -> Path | None:
    """The run's newest whole checkpoint, else its best one; damaged ones are named, and renamed `*.aside`."""
    best = run / runs.BEST
    for path in [*reversed(runs.checkpoints(run)), *([best] if best.is_file() else [])]:
        try:
            verify(path)
        except UserError as damage:
            rank_zero_warn(f"{damage}: set aside")
            for one in (sums_of(path), path):
                if one.exists():  # else another process was first
                    one.rename(one.with_name(f"{one.name}.aside"))
        else:
            return path
    return None


def _tensors(checkpoint: Mapping[Any, Any], of: str = "") -> Iterator[tuple[str, Tensor]]:
    for key, value in checkpoint.items():
        if isinstance(value, Tensor):
            yield f"{of}{key}", value
        elif isinstance(value, Mapping):
            yield from _tensors(value, f"{of}{key}.")
        elif isinstance(value, list):
            yield from _tensors({str(i): one for i, one in enumerate(value)}, f"{of}{key}.")


def _require_space(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size:
        raise UserError(
            f"{folder}: a checkpoint takes {size / 1e9:.1f} GB and {free / 1e9:.1f} GB are free; make room and run the "
            "same command again"
        )
