"""Reads checkpoints of sharded runs: into shards over any number of processes, or as one file would hold them.

Notable: torch's own reader unpickles `.metadata` and everything but tensors; a pickle may name any function anywhere.
Here the first goes through an allow-list, and the second is refused.
"""

import pickle
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner, _EmptyStateDictLoadPlanner
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta
from torch.distributed.checkpoint.state_dict_loader import _load_state_dict, load

from emu.checkpoints.sharded import METADATA, REST
from emu.checkpoints.state import Checkpoint, Moments, OptimizerState, Saved
from emu.errors import UserError

NAMES = {
    *(
        ("torch.distributed.checkpoint.metadata", name)
        for name in (
            *("Metadata", "TensorStorageMetadata", "BytesStorageMetadata", "ChunkStorageMetadata"),
            *("TensorProperties", "MetadataIndex", "StorageMeta", "_MEM_FORMAT_ENCODING"),
        )
    ),
    ("torch.distributed.checkpoint.filesystem", "_StorageInfo"),
    ("torch.serialization", "_get_layout"),
    ("torch", "Size"),
    *((module, "PosixPath") for module in ("pathlib", "pathlib._local")),
}


class Allowed(pickle.Unpickler):
    """What torch's `.metadata` is made of, and nothing else: a pickle may name any function of any module."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in NAMES or (module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it names {module}.{name}")


class Reader(FileSystemReader):
    """Torch's, with the allow-list; it opens no file but those of the folder."""

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        path = Path(self.path) / METADATA
        try:
            with path.open("rb") as file:
                metadata = Allowed(file).load()
            names = {info.relative_path for info in metadata.storage_data.values()}
        except (pickle.UnpicklingError, AttributeError, EOFError, TypeError, ValueError) as error:
            raise UserError(f"{path}: not what torch writes ({error}); name another checkpoint") from error
        for name in names:
            if Path(name).name != name:
                raise UserError(f"{path}: names {name!r}, which is not a file of its folder; name another checkpoint")
        metadata.storage_meta = StorageMeta(load_id=self.load_id)
        return cast(Metadata, metadata)


class IntoShards(DefaultLoadPlanner):
    """Reads what each process holds; refuses everything but tensors, since torch would unpickle it."""

    def load_bytes(self, read_item: Any, value: Any) -> None:
        raise UserError("a checkpoint holds something other than tensors among its shards; name another")


class Whole(_EmptyStateDictLoadPlanner):
    """Reads everything into one process; refuses everything but tensors."""

    def __init__(self, parts: set[str] | None) -> None:
        super().__init__(keys=parts)  # type: ignore[no-untyped-call]

    load_bytes = IntoShards.load_bytes


def read_into(tensors: Saved, path: Path, *, group: Any = None) -> Saved:
    """Fill tensors as `parted` gives them, sharded over any number of processes; returns the rest."""
    reader = checked(path)
    with refused(path):
        load(tensors, storage_reader=reader, planner=IntoShards(), process_group=group)
        return read_rest(path)


def read(path: Path, *, parts: set[str] | None = None) -> Checkpoint:
    """The whole checkpoint in this process, as one file would hold it; of the tensors only `parts` where given."""
    found: Saved = {}
    reader = checked(path)
    with refused(path):
        _load_state_dict(found, reader, planner=Whole(parts), no_dist=True)  # the public one takes no empty dict
        rest = read_rest(path)
    states = rest.pop("optimizer_states")
    if parts is None:
        rest["optimizer_states"] = [numbered(state, found.pop(f"optimizer_{i}", {})) for i, state in enumerate(states)]
    return cast(Checkpoint, {**rest, **found})


def checked(path: Path) -> Reader:
    """Of a folder whose metadata is what torch writes: where torch itself finds fault with it, it prints pages."""
    reader = Reader(path)
    reader.read_metadata()
    return reader


def read_rest(path: Path) -> Saved:
    """Everything but the tensors of the model and the optimizer."""
    rest: Saved = torch.load(path / REST, map_location="cpu", weights_only=True)
    return rest


@contextmanager
def refused(path: Path) -> Generator[None, None, None]:
    """Whatever is wrong with a folder, in one line."""
    try:
        yield
    except (CheckpointException, Exception) as error:  # torch raises whatever the damaged part makes it
        failures = getattr(error, "failures", {})
        cause = next(iter(failures.values()))[0] if failures else error
        if isinstance(cause, UserError):
            raise cause from None
        raise UserError(f"{path}: cannot be read ({str(cause).partition(chr(10))[0]}); name another") from error


def numbered(state: OptimizerState, tensors: Moments) -> OptimizerState:
    """An optimizer's state by the parameters' numbers, as torch's optimizers take it, from one by their names."""
    names = [name for group in state["param_groups"] for name in group["params"]]
    number = {name: i for i, name in enumerate(names)}
    groups = [{**group, "params": [number[name] for name in group["params"]]} for group in state["param_groups"]]
    kept: Moments = {
        number[n]: {**state["state"].get(n, {}), **tensors.get(n, {})} for n in {**state["state"], **tensors}
    }
    return {"state": kept, "param_groups": groups}
