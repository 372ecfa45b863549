"""Checkpoints in one file: written beside, synced, renamed, summed up; in the background where that is asked for."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any, BinaryIO, cast

import torch
from lightning.fabric.plugins import CheckpointIO
from torch import Tensor

from emu.checkpoints import gathered
from emu.checkpoints.copies import Copies
from emu.checkpoints.state import Checkpoint, Saved
from emu.checkpoints.sums import Summed, Sums, commit, remove, require_finite, require_space, verify
from emu.errors import UserError
from emu.storage import files

PATIENCE = 5  # seconds: how long a process that died may keep the others


class Durable(CheckpointIO):
    """Writes beside, syncs, renames, and adds the sum; reads what is as its sum says, and runs no code in it.

    One save is under way at a time, so that they end in the order in which they began. `storage_options`
    {"blocking": False} returns once the state is copied to the host's memory; `wait` or `ended` then tell what became
    of it, as do the next save and the Trainer's end.
    """

    def __init__(self) -> None:
        self._under_way: Future[None] | None = None
        self._alone = True
        self._copies = Copies()

    def save_checkpoint(self, checkpoint: Saved, path: Any, storage_options: Any = None) -> None:
        """UserError: a number is not finite, or the disk is full or cannot be written to; what was there stays."""
        self.carry_out(partial(write, path=Path(path)), cast(Checkpoint, checkpoint), storage_options)

    def carry_out(
        self,
        save: Callable[[Checkpoint], None],
        checkpoint: Checkpoint,
        storage_options: Any = None,
        *,
        alone: bool = True,
    ) -> None:
        """`save(checkpoint)` once what was begun before has ended, in the background where that is asked for.

        `alone`: no other process takes part, so that the save ends even if they die.
        """
        self.wait()
        if (storage_options or {}).get("blocking", True):
            save(checkpoint)
            return
        done: Future[None] = Future()
        # A daemon: where another process has died, this one would wait for it forever, and has to end all the same.
        Thread(target=_fulfil, args=(done, partial(save, self._copies.of(checkpoint))), daemon=True).start()
        self._under_way, self._alone = done, alone

    def wait(self) -> None:
        """Until what was begun has ended. UserError: it could not be saved."""
        under_way, self._under_way = self._under_way, None
        if under_way:
            under_way.result()

    def ended(self) -> bool:
        """Whether a save in the background has ended since this was last asked. UserError: it could not be saved."""
        if self._under_way is None or not self._under_way.done():
            return False
        self.wait()
        return True

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> Saved:
        """A file, or a folder of shards put together. UserError where it is not as its sum says."""
        path = Path(path)
        verify(path)
        if path.is_dir():
            return dict(gathered.read(path))
        return dict(read_file(path, map_location=map_location))

    def remove_checkpoint(self, path: Any) -> None:
        """The sum goes first: a file without one does not count."""
        remove(Path(path))

    def teardown(self) -> None:
        """The Trainer's end, in order or not; a save that other processes take part in may have lost them."""
        if self._under_way and not wait_for([self._under_way], None if self._alone else PATIENCE).not_done:
            self.wait()


def read_file(path: Path, *, map_location: Any = None) -> Checkpoint:
    """What Lightning wrote: "state_dict", "global_step", ...; no code in it is run. The file is memory-mapped.

    UserError where it holds something else.
    """
    try:
        checkpoint = torch.load(path, map_location=map_location or "cpu", weights_only=True, mmap=True)
    except Exception as error:  # torch raises whatever the damaged part of a file makes it
        raise UserError(f"{path}: not a checkpoint ({str(error).partition(chr(10))[0]}); name one of a run") from error
    if not isinstance(checkpoint, dict) or not {"state_dict", "global_step"} <= checkpoint.keys():
        raise UserError(f"{path}: no state_dict and global_step in it; name a checkpoint of a run")
    return cast(Checkpoint, checkpoint)


def _fulfil(done: "Future[None]", save: Callable[[], None]) -> None:
    try:
        save()
    except BaseException as error:
        done.set_exception(error)
    else:
        done.set_result(None)


def write(checkpoint: Checkpoint, path: Path) -> None:
    """Write one file and its sum. UserError as for `Durable.save_checkpoint`."""
    tensors = dict(tensors_in(checkpoint))
    require_finite(path, tensors)
    beside = files.beside_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        require_space(path.parent, sum(tensor.nbytes for tensor in tensors.values()))
        with beside.open("wb") as file:
            summed = Summed(file)
            torch.save(checkpoint, cast(BinaryIO, summed))
        files.to_disk(beside)
        written = summed.sum()
        commit(beside, path, Sums(checkpoint["global_step"], bytes=written.bytes, sha256=written.sha256))
    except OSError as error:
        raise UserError(f"{path}: not saved ({error.strerror}); the last good one stays") from error
    finally:
        with suppress(OSError):  # the folder itself may be gone, which was said above
            beside.unlink(missing_ok=True)


def tensors_in(tree: Mapping[Any, Any], of: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every tensor in nested dicts and lists with its dotted name."""
    for key, value in tree.items():
        if isinstance(value, Tensor):
            yield f"{of}{key}", value
        elif isinstance(value, Mapping):
            yield from tensors_in(value, f"{of}{key}.")
        elif isinstance(value, list):
            yield from tensors_in({str(i): one for i, one in enumerate(value)}, f"{of}{key}.")
