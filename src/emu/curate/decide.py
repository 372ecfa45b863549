"""The second half: stages that look at all pictures at once, as queries over the small table of scores.

In memory are the few columns that a stage reads and two numbers a picture; pixels are not met again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from emu.curate.funnel import Funnel
from emu.curate.stage import Selection
from emu.errors import UserError

STAYED = -1


@dataclass
class Fates:
    """How every picture of a source ended.

    Args:
        left: int (n,), the step at which it left, STAYED where it did not.
        failed: bool (n,), whether it left because it could not be used.
        reasons: step -> row -> why, for those that a Selection took out; the others' reasons stand in their rows.
        notes: stage -> what it said of its decision.
        twins: row -> the row that stays in its place.
    """

    left: NDArray[np.int16]
    failed: NDArray[np.bool_]
    reasons: dict[int, Mapping[int, str]] = field(default_factory=dict)
    notes: dict[str, dict[str, Any]] = field(default_factory=dict)
    twins: dict[int, int] = field(default_factory=dict)

    @property
    def stayed(self) -> NDArray[np.bool_]:
        stayed: NDArray[np.bool_] = self.left == STAYED
        return stayed

    def reason(self, row: int) -> str | None:
        """What the Selection that took it out said; None where none did."""
        said = self.reasons.get(int(self.left[row]))
        return None if said is None else said.get(row)

    def came(self, step: int) -> NDArray[np.bool_]:
        """Who has come to a step."""
        return self.stayed | (self.left >= step)

    def passed(self, step: int) -> NDArray[np.bool_]:
        """Who has left neither before a step nor there."""
        return self.stayed | (self.left > step)


def decide(funnel: Funnel, shards: list[Path]) -> Fates:
    """Every Selection in its place between the stages, in order: it sees who has come to it, and no one else."""
    fates = Fates(column(shards, "left"), column(shards, "failed").astype(bool))
    for number, step in enumerate(funnel.steps):
        if not isinstance(step.stage, Selection):
            continue
        scores = {name: column(shards, name) for name in step.stage.reads}
        choice = step.stage.choose(scores, fates.passed(number))
        fates.left[choice.leaves] = number
        fates.failed[choice.leaves] = False
        fates.reasons[number] = choice.reasons
        fates.notes[step.stage.name] = choice.notes
        fates.twins |= choice.twins
    return fates


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
        reason = str(error).partition("\n")[0]
        raise UserError(f"{path}: damaged ({reason}); remove it, and give the same command again") from None


def _numpy(values: pa.ChunkedArray) -> NDArray[Any]:
    if pa.types.is_uint64(values.type):
        values = values.fill_null(0)  # as floats, the last bits of a hash would be gone
    array: NDArray[Any] = values.to_numpy()
    return array
