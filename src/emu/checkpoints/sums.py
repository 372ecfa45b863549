"""How a checkpoint, a file or a folder of shards, is known to be whole: its sum is written last and checked first."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from emu.errors import UserError
from emu.layouts import runs
from emu.storage.files import sha256, sweep, write_json
from emu.storage.records import left_out, read_json
from emu.terminal.counted import amount


@dataclass(frozen=True)
class Sum:
    """Of one file."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Sums:
    """`step-000500.ckpt.json`: the sum of a checkpoint's file, or of a folder's files by name."""

    step: int | None = left_out()
    bytes: int | None = left_out()
    sha256: str | None = left_out()
    files: dict[str, Sum] | None = left_out()


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

    def tell(self) -> int:
        return self.bytes

    def fileno(self) -> int:
        return self.file.fileno()

    def close(self) -> None:
        self.file.close()

    def sum(self) -> Sum:
        """Of what was written."""
        return Sum(self.bytes, self.sha256.hexdigest())


def sums_of(path: Path) -> Path:
    """The file beside a checkpoint with its size and sum."""
    return path.with_name(f"{path.name}.json")


def aside(path: Path) -> Path:
    """Where a folder waits while another takes its place."""
    return path.with_name(f".{path.name}.old")


def commit(beside: Path, path: Path, sums: Sums) -> None:
    """Rename what was written beside into its place, then write its sum; all on the disk when it returns."""
    # An old sum would call the new file damaged; without one it is taken as it is, and it is whole by now.
    sums_of(path).unlink(missing_ok=True)
    if path.is_dir() or (beside.is_dir() and path.exists()):  # of these a rename makes no single step
        path.rename(aside(path))
    beside.rename(path)
    write_json(sums_of(path), sums, durable=True)
    remove(aside(path))


def remove(path: Path) -> None:
    """Remove a checkpoint, its sum first: one without does not count."""
    sums_of(path).unlink(missing_ok=True)
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def clear(run: Path) -> None:
    """Remove what a run that was killed left beside its files; what a save had put aside comes back."""
    for folder in (run, *run.glob("step-[0-9]*")):
        sweep(folder)
    for folder in (run, run / runs.CHECKPOINTS):
        for left in folder.glob(".*.ckpt.old"):
            place = left.with_name(left.name.removeprefix(".").removesuffix(".old"))
            if place.exists():
                remove(left)
            else:
                left.rename(place)
        for left in folder.glob(".*.ckpt*.tmp"):
            remove(left)


def verify(path: Path, *, share: tuple[int, int] = (0, 1)) -> None:
    """UserError where a checkpoint is not what was written; one without a sum is taken as it is.

    `share` (i, of n): of a folder's files, only every n-th from the i-th on is read.
    """
    if not sums_of(path).exists():
        return
    try:
        sums: Sums = read_json(sums_of(path), Sums, remedy="")
    except UserError:  # the sum itself is damaged
        damaged = [sums_of(path).name]
    else:
        files = sums.files or {path.name: Sum(sums.bytes or 0, sums.sha256 or "")}
        folder = path if sums.files else path.parent
        read = [*files.items()][share[0] :: share[1]]
        damaged = [name for name, one in read if _sha256(folder / name) != one.sha256]
    if damaged:
        raise UserError(
            f"{path}: damaged since it was written (the sha256 of {damaged[0]} is another); name an older checkpoint"
        )


def _sha256(path: Path) -> str | None:
    return sha256(path) if path.is_file() else None


def newest(run: Path) -> Path | None:
    """The run's newest whole checkpoint, else its best one; damaged ones are named, and renamed `*.aside`."""
    best = run / runs.BEST
    for path in [*reversed(runs.checkpoints(run)), *([best] if best.exists() else [])]:
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


def step_of(path: Path) -> int:
    """The optimizer step of a checkpoint, by its sum. UserError: it has none."""
    beside = sums_of(path)
    sums: Sums | None = read_json(beside, Sums, remedy="name another checkpoint") if beside.exists() else None
    if sums is None or sums.step is None:
        raise UserError(f"{path}: no {beside.name} beside it that says its step; name another checkpoint")
    return sums.step


def require_space(folder: Path, size: int) -> None:
    """UserError where fewer than `size` bytes are free."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise UserError(
            f"{folder}: a checkpoint takes {amount(size)} and {amount(free)} are free; make room and run the same "
            "command again"
        )


def require_finite(path: Path, tensors: dict[str, Tensor]) -> None:
    """UserError that names a tensor with a number that is not finite."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise UserError(f"{path}: not saved, {name} holds a number that is not finite; the last good one stays")
