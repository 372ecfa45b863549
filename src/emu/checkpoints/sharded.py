"""Checkpoints of sharded runs: a folder to which each process adds its shares, in torch's distributed format.

Notable: no process ever holds the whole. The tensors are torch's (`torch.distributed.checkpoint`, a `.distcp` file a
process and `.metadata`), everything else lies in `rest.pt`, and nothing is unpickled without an allow-list.
"""

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, distributed
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystem, FileSystemWriter
from torch.distributed.checkpoint.metadata import Metadata
from torch.distributed.checkpoint.state_dict_saver import _save_state_dict
from torch.futures import Future

from emu.checkpoints.state import Checkpoint, Moments, Saved
from emu.checkpoints.sums import Sum, Summed, Sums, commit, require_finite, require_space
from emu.errors import UserError
from emu.optim.averaging import local
from emu.storage.files import to_disk

METADATA, REST = ".metadata", "rest.pt"


def is_sharded(path: Path) -> bool:
    """Whether a path is such a folder."""
    return (path / METADATA).is_file()


def write(checkpoint: Checkpoint, path: Path, *, group: Any) -> None:
    """Write the folder and its sum, by all processes of `group` at once; of one process where it is None.

    Args:
        checkpoint: Lightning's, with "state_dict" and "optimizer_states" as
            `torch.distributed.checkpoint.state_dict` gives them.

    UserError on all: a number is not finite, or one process's disk is full or cannot be written to.
    """
    tensors, rest = parted(checkpoint)
    writer = Writer(path, tensors, rest, step=checkpoint["global_step"])
    if writer.first(group):
        shutil.rmtree(writer.beside, ignore_errors=True)  # of a save that was killed
    if group is not None:
        distributed.barrier(group)
    try:
        _save_state_dict(tensors, writer, group, no_dist=group is None)  # the public one warns of one process
    except CheckpointException as error:
        cause = next(iter(error.failures.values()))[0]
        if writer.first(group):
            shutil.rmtree(writer.beside, ignore_errors=True)
        if isinstance(cause, UserError):
            raise cause from None
        raise UserError(f"{path}: not saved ({getattr(cause, 'strerror', cause)}); the last good one stays") from error


def parted(checkpoint: Checkpoint) -> tuple[Saved, Saved]:
    """A checkpoint's large tensors, in nested dicts of tensors alone, and all the rest."""
    rest: Saved = {key: value for key, value in checkpoint.items() if key != "state_dict"}
    tensors: Saved = {"state_dict": checkpoint["state_dict"]}
    rest["optimizer_states"] = []
    for i, state in enumerate(checkpoint.get("optimizer_states", [])):
        tensors[f"optimizer_{i}"] = _of_tensors(state["state"], wanted=True)
        rest["optimizer_states"].append({**state, "state": _of_tensors(state["state"], wanted=False)})
    return tensors, rest


def _of_tensors(state: Moments, *, wanted: bool) -> Moments:
    """Of each parameter's state what is a tensor, or what is not."""
    return {n: {k: v for k, v in of.items() if isinstance(v, Tensor) == wanted} for n, of in state.items()}


class Summing(FileSystem):
    """Sums up every file that is written."""

    def __init__(self) -> None:
        self.sums: dict[str, Sum] = {}

    @contextmanager
    def create_stream(self, path: Any, mode: str) -> Generator[Any, None, None]:
        with Path(path).open(mode) as file:
            summed = Summed(cast(Any, file))
            yield summed
        self.sums[Path(path).name] = summed.sum()

    def rename(self, path: Any, new_path: Any) -> None:
        super().rename(path, new_path)
        self.sums[Path(new_path).name] = self.sums.pop(Path(path).name)


class Writer(FileSystemWriter):
    """Torch's, that writes beside the place, refuses what is not finite, and ends with the sums of all files."""

    def __init__(self, path: Path, tensors: Saved, rest: Saved, *, step: int) -> None:
        self.final, self.beside = path, path.with_name(f".{path.name}.tmp")
        super().__init__(self.beside)
        self.fs: Summing = Summing()
        self.tensors, self.rest, self.step = tensors, rest, step

    @staticmethod
    def first(group: Any) -> bool:
        return group is None or distributed.get_rank(group) == 0

    def prepare_local_plan(self, plan: Any) -> Any:
        mine = {f"{of}.{name}": local(value) for of, part in self.tensors.items() for name, value in _flat(part)}
        require_finite(self.final, mine)
        planned = super().prepare_local_plan(plan)  # makes the folder
        shares = distributed.get_world_size() if distributed.is_initialized() else 1  # all on one disk, and about alike
        require_space(self.beside, shares * sum(tensor.nbytes for tensor in mine.values()))
        return planned

    def write_data(self, plan: Any, planner: Any) -> Any:
        written: Future[list[Any]] = Future()
        written.set_result([*super().write_data(plan, planner).value(), dict(self.fs.sums)])
        return written

    def finish(self, metadata: Metadata, results: list[list[Any]]) -> None:
        """On the first process, when all have written theirs."""
        super().finish(metadata, [of_one[:-1] for of_one in results])
        with self.fs.create_stream(self.beside / REST, "wb") as file:
            torch.save(self.rest, file)
        to_disk(self.beside / REST)
        files = {name: one for of_one in results for name, one in of_one[-1].items()} | self.fs.sums
        commit(self.beside, self.final, Sums(self.step, files=dict(sorted(files.items()))))


def _flat(tree: Saved) -> Generator[tuple[str, Tensor], None, None]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from ((f"{key}.{name}", tensor) for name, tensor in _flat(value))
        else:
            yield key, value
