"""The second half: stages that look at all pictures at once, as queries over the small table of scores.

In memory are the few columns of words and numbers that a stage reads and two numbers a picture; columns of bytes are
mapped, and pixels are not met again.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from emu import answers
from emu.curate.config import Funnel
from emu.curate.mapped import Mapped
from emu.curate.stage import Choice, Selection
from emu.errors import UserError, first_line

STAYED = -1
TURNS = 4  # in which copies take the places of pictures that left after them
BACK = "copies that took the place of one that left"


@dataclass
class Fates:
    """How every picture of a source ended.

    Args:
        left: int (n,), the step at which it left, STAYED where it did not.
        failed: bool (n,), whether it left because it could not be used.
        reasons: step -> row -> why, for those that a Selection took out; the others' reasons stand in their rows.
        notes: stage -> what it said of its decision.
        twins: row -> the row that stays in its place; of one row the best copies first.
        fallen: row -> why it left, of those whose place a copy has taken.
    """

    left: NDArray[np.int16]
    failed: NDArray[np.bool_]
    reasons: dict[int, Mapping[int, str]] = field(default_factory=dict)
    notes: dict[str, dict[str, Any]] = field(default_factory=dict)
    twins: dict[int, int] = field(default_factory=dict)
    fallen: dict[int, str] = field(default_factory=dict)

    @property
    def stayed(self) -> NDArray[np.bool_]:
        stayed: NDArray[np.bool_] = self.left == STAYED
        return stayed

    def reason(self, row: int) -> str | None:
        """What the Selection that took it out said; None where none did."""
        if row in self.fallen:
            return self.fallen[row]
        said = self.reasons.get(int(self.left[row]))
        return None if said is None else said.get(row)

    def came(self, step: int) -> NDArray[np.bool_]:
        """Who has come to a step."""
        return self.stayed | (self.left >= step)

    def passed(self, step: int) -> NDArray[np.bool_]:
        """Who has left neither before a step nor there."""
        return self.stayed | (self.left > step)


def decide(funnel: Funnel, shards: list[Path]) -> Fates:
    """Every Selection in its place between the stages, in order: it sees who has come to it, and no one else.

    Where a picture leaves after copies have left for it, the best of them takes its place, and the later stages decide
    again: a quota that the one does not meet may be met by the other.
    """
    fates = Fates(column(shards, "left"), column(shards, "failed").astype(bool))
    measured, taken = fates.stayed, Counter[int]()
    _select(funnel, shards, fates, first=0)
    for _ in range(TURNS):
        if not (steps := _take_places(fates)):
            break
        taken.update(steps)
        again = measured & (fates.left > min(steps))
        again[list(fates.fallen)] = False
        fates.left[again] = STAYED
        fates.twins = {row: twin for row, twin in fates.twins.items() if not again[row]}
        _select(funnel, shards, fates, first=min(steps) + 1)
    for number, copies in taken.items():
        name = funnel.steps[number].stage.name
        fates.notes[name] = {**fates.notes[name], BACK: copies}
    return fates


def _take_places(fates: Fates) -> list[int]:
    """The best copy of each picture that left later, and for no better one, comes back; returns where it had left."""
    copies: dict[int, list[int]] = defaultdict(list)
    for row, twin in fates.twins.items():
        copies[twin].append(row)
    steps = []
    for row, (best, *others) in copies.items():
        if fates.left[row] == STAYED or row in fates.twins:
            continue
        steps.append(int(fates.left[best]))
        fates.fallen[row] = f"{fates.reason(row)}; its copy, row {best}, took its place"
        fates.left[best] = STAYED
        del fates.twins[best]
        fates.twins |= dict.fromkeys(others, best)
    return steps


def _select(funnel: Funnel, shards: list[Path], fates: Fates, *, first: int) -> None:
    """The Selections from step `first` on."""
    for number, step in enumerate(funnel.steps):
        if number < first or not isinstance(step.stage, Selection):
            continue
        there = fates.passed(number)
        there[list(fates.fallen)] = False
        kinds = funnel.columns
        scores = {
            name: mapped(shards, name) if kinds.get(name) == "binary" else column(shards, name)
            for name in step.stage.reads
        }
        choice = step.stage.choose(scores, there)
        _require_choice(step.stage, choice, there)
        fates.left[choice.leaves] = number
        fates.failed[choice.leaves] = False
        fates.reasons[number] = choice.reasons
        fates.notes[step.stage.name] = choice.notes
        fates.twins |= choice.twins


def _require_choice(stage: Selection, choice: Any, there: NDArray[np.bool_]) -> None:
    """UserError where somebody would leave who is gone, or without a reason."""
    if not isinstance(choice, Choice):
        raise answers.refuse(stage, "choose", choice, "a Choice")
    leaves, wanted = choice.leaves, f"bool ({len(there)},), True for those of `there` who leave"
    if not isinstance(leaves, np.ndarray) or leaves.dtype != bool or leaves.shape != there.shape:
        raise answers.refuse(stage, "choose, as leaves,", leaves, wanted)
    if (leaves & ~there).any():
        raise UserError(f"{answers.name_of(stage)}.choose let go of pictures that are gone; give {wanted}")
    if len(choice.reasons) < leaves.sum():
        who = f"{leaves.sum()} pictures leave, with reasons for {len(choice.reasons)}"
        raise UserError(f"{answers.name_of(stage)}.choose: {who}; give one for each row that leaves")


def mapped(shards: list[Path], name: str) -> Mapped:
    """One column of bytes of all shards, in the order of the source."""
    return Mapped((read(path, [name]).column(0).to_pylist() for path in shards), shards[0].parent)


def column(shards: list[Path], name: str) -> NDArray[Any]:
    """One column of all shards, in the order of the source; null numbers are NaN, null hashes 0."""
    chunks = [_numpy(read(path, [name]).column(0)) for path in shards]
    return np.concatenate(chunks) if chunks else np.empty(0, dtype=np.int16)


def read(path: Path, columns: list[str] | None = None) -> pa.Table:
    """A shard's table. UserError where it is damaged. `pq.read_table` would import pyarrow's data sets for it."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            return file.read(columns)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: damaged ({first_line(error)}); remove it, and give the same command again") from None


def _numpy(values: pa.ChunkedArray) -> NDArray[Any]:
    if pa.types.is_uint64(values.type):
        values = values.fill_null(0)  # as floats, the last bits of a hash would be gone
    array: NDArray[Any] = values.to_numpy()
    return array
