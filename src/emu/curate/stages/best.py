"""The best so many, by a stated rule."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emu.curate.stage import Choice, Reasons, Scores, Selection
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
        of_row = np.zeros(len(there))
        of_row[rows] = score

        def words(row: int) -> str:
            return f"rank {of_row[row]:.4f}, the last one kept has {last or 1:.4f}"

        return Choice(leaves, Reasons(leaves, words), {"last rank kept": last})


def rank(scores: Scores, rows: NDArray[Any], by: dict[str, float]) -> NDArray[np.float64]:
    """For each of `rows`: the weighted mean over columns of the share of rows that it is above, ties counted half."""
    total = np.zeros(len(rows))
    for column, weight in by.items():
        share = _below(_numbers(scores[column], rows))
        total += abs(weight) * (share if weight >= 0 else 1 - share)
    mean: NDArray[np.float64] = total / sum(abs(weight) for weight in by.values())
    return mean


def _numbers(values: NDArray[Any], rows: NDArray[Any]) -> NDArray[np.float64]:
    numbers: NDArray[np.float64] = np.array(values[rows], dtype=float)
    numbers[np.isnan(numbers)] = -np.inf
    return numbers


def _below(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each value the share of all that are lower, equal ones counted half."""
    order = np.argsort(values, kind="stable")
    values = values[order]
    first = np.ones(len(values), dtype=bool)  # of those that are equal; np.unique takes twice the memory
    np.not_equal(values[1:], values[:-1], out=first[1:])
    starts = np.flatnonzero(first)
    counts = np.diff(starts, append=len(values))
    middle = (starts + counts / 2) / max(len(values), 1)
    del starts
    values[:] = np.repeat(middle, counts)
    share: NDArray[np.float64] = np.empty(len(values))
    share[order] = values
    return share
