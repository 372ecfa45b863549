"""The best so many, by a stated rule: of all, of each concept, or by a budget."""

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emu.curate.stage import Choice, Reasons, Scores, Selection
from emu.errors import UserError

HALVINGS = 40  # of the share that a budget looks for


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


class Balance(Selection):
    """Quotas of the values of a column. How many there were of each, and are, is kept in the manifest.

    Args:
        column: of concepts, measured by `Concepts` or brought by the source.
        most: at most so many of each concept.
        quotas: concept -> at most so many, where it is not `most`.
        by: column -> weight: who stays, as in `Best`; empty takes the earliest.
    """

    name = "balance"

    def __init__(
        self,
        most: int,
        column: str = "concept",
        quotas: dict[str, int] | None = None,
        by: dict[str, float] | None = None,
    ) -> None:
        self.most, self.column, self.quotas, self.by = most, column, quotas or {}, by or {}
        self.reads, self.numbers = (column, *self.by), tuple(self.by)

    def choose(self, scores: Scores, there: NDArray[np.bool_]) -> Choice:
        rows = np.flatnonzero(there)
        concepts = np.array([str(value) for value in scores[self.column][rows]])
        score = rank(scores, rows, self.by) if self.by else np.zeros(len(rows))
        leaves, words = np.zeros(len(there), dtype=bool), list[str]()
        which = np.zeros(len(there), dtype=np.int32)  # row -> the words for its concept
        for concept in sorted(set(concepts.tolist())):
            quota = self.quotas.get(concept, self.most)
            of_it = np.flatnonzero(concepts == concept)
            behind = of_it[np.lexsort((rows[of_it], -score[of_it]))][quota:]
            leaves[rows[behind]], which[rows[behind]] = True, len(words)
            words.append(f"{len(of_it):,} of {concept}, of which {quota:,} stay")
        after = Counter(concepts[~leaves[rows]].tolist())
        counts = {"before": dict(sorted(Counter(concepts.tolist()).items())), "after": dict(after)}
        return Choice(leaves, Reasons(leaves, lambda row: words[which[row]]), counts)


class Budget(Selection):
    """One share q is found such that at most `number` pictures reach, in every column, the q-quantile of their concept.

    So each concept keeps about the same share of its pictures, however differently the judges score it. What the
    thresholds became is kept in the manifest. Where more pictures than that share the highest value, they all stay.

    Args:
        by: the columns; a picture must reach the threshold of each.
        number: at most so many stay; 0 for all of them, until the command line says otherwise.
        column: of concepts; none for one set of thresholds.
    """

    name = "budget"

    def __init__(self, by: list[str], number: int = 0, column: str | None = None) -> None:
        self.by, self.number, self.column = by, number, column
        self.reads, self.numbers = (*by, *([column] if column else [])), tuple(by)

    def choose(self, scores: Scores, there: NDArray[np.bool_]) -> Choice:
        rows = np.flatnonzero(there)
        leaves = np.zeros(len(there), dtype=bool)
        if not self.number or len(rows) <= self.number:
            return Choice(leaves, {}, {"share cut from each column": 0.0, "thresholds": {}})
        concepts = np.array([str(value) for value in scores[self.column][rows]] if self.column else ["all"] * len(rows))
        low, high = 0.0, 1.0
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            few = np.count_nonzero(self._stay(scores, rows, concepts, middle)[0]) <= self.number
            low, high = (low, middle) if few else (middle, high)
        stay, thresholds = self._stay(scores, rows, concepts, high)
        leaves[rows[~stay]] = True
        names, of_rows = np.unique(concepts, return_inverse=True)
        which = np.zeros(len(there), dtype=np.int32)  # row -> its concept's place in `names`
        which[rows] = of_rows
        judged = {name: scores[name] for name in self.by}

        def words(row: int) -> str:
            return self._reason(judged, row, thresholds[str(names[which[row]])])

        return Choice(
            leaves, Reasons(leaves, words), {"share cut from each column": round(high, 6), "thresholds": thresholds}
        )

    def _stay(
        self, scores: Scores, rows: NDArray[Any], concepts: NDArray[Any], share: float
    ) -> tuple[NDArray[np.bool_], dict[str, dict[str, float]]]:
        stay, thresholds = np.ones(len(rows), dtype=bool), {}
        for concept in sorted(set(concepts.tolist())):
            of_it = concepts == concept
            thresholds[concept] = {
                name: float(np.nanquantile(np.asarray(scores[name][rows[of_it]], dtype=float), share, method="higher"))
                for name in self.by
            }
            for name, threshold in thresholds[concept].items():
                stay[of_it] &= np.asarray(scores[name][rows[of_it]], dtype=float) >= threshold
        return stay, thresholds

    def _reason(self, scores: Scores, row: int, thresholds: dict[str, float]) -> str:
        below = next(name for name in self.by if not scores[name][row] >= thresholds[name])
        return f"{below} {float(scores[below][row]):.4g} is below {thresholds[below]:.4g}, the threshold of its concept"


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
