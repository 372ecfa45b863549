"""The best so many, by a stated rule."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emu.curate.stage import Choice, Scores, Selection
from emu.errors import UserError


class Best(Selection):
    """Keeps `number` pictures with the highest rank.

    The rank is the weighted mean of what share of the pictures a picture is better than, column by column; so columns
    of any scale go together. Equal ranks: the earlier picture.

    Args:
        number: at most so many stay.
        by: column -> weight; a negative one prefers low values.
    """

    name = "best"

    def __init__(self, number: int, by: dict[str, float]) -> None:
        if number < 0 or not by:
            raise UserError(f"stage {self.name}: number is at least 0, and `by` names a column and its weight")
        self.number, self.by, self.reads, self.numbers = number, by, tuple(by), tuple(by)

    def choose(self, scores: Scores, there: NDArray[np.bool_]) -> Choice:
        rows = np.flatnonzero(there)
        score = rank(scores, rows, self.by)
        leaves = np.zeros(len(there), dtype=bool)
        order = np.lexsort((rows, -score))
        behind = order[self.number :]
        leaves[rows[behind]] = True
        last = float(score[order[self.number - 1]]) if len(behind) and self.number else None
        reasons = {int(rows[i]): f"rank {score[i]:.4f}, the last one kept has {last or 1:.4f}" for i in behind}
        return Choice(leaves, reasons, {"last rank kept": last})


def rank(scores: Scores, rows: NDArray[Any], by: dict[str, float]) -> NDArray[np.float64]:
    """For each of `rows`: the weighted mean over columns of the share of rows that it is above, ties counted half."""
    total = np.zeros(len(rows))
    for column, weight in by.items():
        values = np.asarray(scores[column][rows], dtype=float)
        share = _below(np.where(np.isnan(values), -np.inf, values))
        total += abs(weight) * (share if weight >= 0 else 1 - share)
    mean: NDArray[np.float64] = total / sum(abs(weight) for weight in by.values())
    return mean


def _below(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each value the share of all that are lower, equal ones counted half."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle: NDArray[np.float64] = (counts.cumsum() - counts / 2) / max(len(values), 1)
    return middle[which]
