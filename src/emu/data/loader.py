"""Loaders over planned batches; the training one knows its place in the epoch and keeps it in the checkpoint.

They are plain iterables that hold a DataLoader, so Lightning neither swaps the sampler nor remarks on the workers.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypedDict

import torch
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch.utils.data import DataLoader, Dataset

from emu.batch import Pictures
from emu.data.dataset import Example, collate
from emu.data.epoch import Batch
from emu.data.survey import Faults
from emu.errors import UserError

log = logging.getLogger(__name__)


class Fixed:
    """The same batches at every pass; each may be anything."""

    def __init__(self, batches: Sequence[Any]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)


class HeldOut:
    """The pictures of one fixed list of batches, from the first to the last at every pass."""

    def __init__(self, loader: "Planned", batches: list[Batch]) -> None:
        self.loader, self.batches = loader, batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Pictures]:
        return self.loader.run(self.batches)


class State(TypedDict):
    """The place in an epoch that a checkpoint keeps: the first optimizer step that is not whole, and of which plan."""

    epoch: int
    step: int
    identity: dict[str, int]


class Training:
    """Epoch after epoch: `plan(epoch=...)` gives its batches, and a pass begins with the first that is yet unseen.

    `state_dict` is what Lightning puts in the checkpoint. A batch counts as seen once it is handed out, whatever the
    worker processes have read ahead. A pass goes on at the beginning of an optimizer step, of `accumulate` batches:
    the gradients of a part of one are in no checkpoint.
    """

    def __init__(
        self,
        loader: "Planned",
        plan: Callable[..., list[Batch]],
        *,
        accumulate: int,
        identity: dict[str, int],
    ) -> None:
        self.loader, self.plan = loader, plan
        self.accumulate = accumulate
        self.identity = identity  # what the plan depends on; a position is worth nothing under another one
        self.epoch = 0
        self.batch = 0
        self.length = len(plan(epoch=0))

    def __len__(self) -> int:
        return self.length  # of every epoch alike, and of the whole epoch also where a pass resumes in its middle

    def __iter__(self) -> Iterator[Pictures]:
        for batch in self.loader.run(self.plan(epoch=self.epoch)[self.batch :]):
            self.batch += 1
            if self.batch == self.length:
                self.epoch, self.batch = self.epoch + 1, 0
            yield batch

    def state_dict(self) -> State:
        """The first optimizer step that is not yet whole."""
        return {"epoch": self.epoch, "step": self.batch // self.accumulate, "identity": self.identity}

    def load_state_dict(self, state: State) -> None:
        """Go on there; where the plan is another by now, at the start of that epoch, with a warning."""
        if "epoch" not in state:  # of a run on a stream
            rank_zero_info("the set begins its epoch 1: the checkpoint is of a run on a stream")
            return
        self.epoch, self.batch = state["epoch"], state["step"] * self.accumulate
        changed = [name for name, value in self.identity.items() if state["identity"].get(name) != value]
        if changed and self.batch:
            self.batch = 0
            rank_zero_warn(
                f"The checkpoint was made with other {', '.join(changed)}: its epoch begins anew, "
                "and pictures seen in its first part are seen once more."
            )


class Planned:
    """One DataLoader, whose workers live as long as it does, run over one list of batches after another."""

    def __init__(self, dataset: Dataset[Example], num_workers: int, faults: Faults) -> None:
        self.faults = faults
        self.order: list[Batch] = []
        self.loader: DataLoader[Example] = DataLoader(
            dataset,
            batch_sampler=self.order,
            collate_fn=collate,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    def run(self, batches: list[Batch]) -> Iterator[Pictures]:
        """UserError, as a worker raised it, or where more pictures fail than `faults` allows."""
        self.order[:] = batches
        for batch, found in in_words(self.loader):
            # Counted here rather than in the worker, whose errors arrive wrapped in a traceback.
            if message := self.faults.add(found):
                log.warning(message)
            yield batch


def in_words(batches: Iterable[Any]) -> Iterator[Any]:
    """A worker's UserError as it was raised there: torch hands on its traceback as its text."""
    try:
        yield from batches
    except UserError as error:
        said = str(error).rpartition(f"{UserError.__module__}.{UserError.__name__}: ")[2]
        raise UserError(said.strip()) from None
