"""Loaders over planned batches; the training one knows its place in the epoch and keeps it in the checkpoint.

They are plain iterables that hold a DataLoader, so Lightning neither swaps the sampler nor remarks on the workers.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch.utils.data import DataLoader, Dataset

from emu.data.dataset import collate
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

    def __init__(
        self, dataset: Dataset[dict[str, Any]], batches: list[Batch], *, num_workers: int, faults: Faults
    ) -> None:
        self.batches = batches
        self.loader = _Planned(dataset, num_workers=num_workers, faults=faults)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self.loader.run(self.batches)


class Training:
    """Epoch after epoch: `plan(epoch)` gives its batches, and a pass begins with the first that is yet unseen.

    `state_dict` is what Lightning puts in the checkpoint. A batch counts as seen once it is handed out, whatever the
    worker processes have read ahead. A pass goes on at the beginning of an optimizer step, of `accumulate` batches:
    the gradients of a part of one are in no checkpoint.
    """

    def __init__(
        self,
        dataset: Dataset[dict[str, Any]],
        plan: Callable[[int], list[Batch]],
        *,
        accumulate: int,
        num_workers: int,
        faults: Faults,
        identity: dict[str, int],
    ) -> None:
        self.plan = plan
        self.accumulate = accumulate
        self.identity = identity  # what the plan depends on; a position is worth nothing under another one
        self.epoch = 0
        self.batch = 0
        self.length = len(plan(0))
        self.loader = _Planned(dataset, num_workers=num_workers, faults=faults)

    def __len__(self) -> int:
        return self.length  # of every epoch alike, and of the whole epoch also where a pass resumes in its middle

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self.loader.run(self.plan(self.epoch)[self.batch :]):
            self.batch += 1
            if self.batch == self.length:
                self.epoch, self.batch = self.epoch + 1, 0
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """The first optimizer step that is not yet whole."""
        return {"epoch": self.epoch, "step": self.batch // self.accumulate, "identity": self.identity}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on there; where the plan is another by now, at the start of that epoch, with a warning."""
        self.epoch, self.batch = state["epoch"], state["step"] * self.accumulate
        changed = [name for name, value in self.identity.items() if state["identity"].get(name) != value]
        if changed and self.batch:
            self.batch = 0
            rank_zero_warn(
                f"The checkpoint was made with other {', '.join(changed)}: its epoch begins anew, "
                "and pictures seen in its first part are seen once more."
            )


class _Planned:
    """One DataLoader, whose workers live as long as it does, run over one list of batches after another."""

    def __init__(self, dataset: Dataset[dict[str, Any]], *, num_workers: int, faults: Faults) -> None:
        self.faults = faults
        self.order: list[Batch] = []
        self.loader: DataLoader[dict[str, Any]] = DataLoader(
            dataset,
            batch_sampler=self.order,
            collate_fn=collate,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    def run(self, batches: list[Batch]) -> Iterator[dict[str, Any]]:
        self.order[:] = batches
        for batch in _in_words(self.loader):
            # Counted here rather than in the worker, whose errors arrive wrapped in a traceback.
            if message := self.faults.add(fault for fault in batch.pop("fault") if fault):
                log.warning(message)
            yield batch


def _in_words(batches: Iterable[Any]) -> Iterator[Any]:
    """A worker's UserError as it was raised there: torch hands on its traceback as its text."""
    try:
        yield from batches
    except UserError as error:
        said = str(error).rpartition(f"{UserError.__module__}.{UserError.__name__}: ")[2]
        raise UserError(said.strip()) from None
