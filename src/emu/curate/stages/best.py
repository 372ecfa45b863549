"""The best so many, by a stated rule: of all, of each concept, or by a budget."""

from collections import Counter
from collections.abc import Iterator
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

        kept = "none is kept" if last is None else f"the last one kept has {last:.4f}"

        def words(row: int) -> str:
            return f"rank {of_row[row]:.4f}, {kept}"

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
        for concept, of_it in _by_value(concepts):
            quota = self.quotas.get(concept, self.most)
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
        names, of_rows = np.unique(concepts, return_inverse=True)
        columns = [_Ordered(np.asarray(scores[name][rows], dtype=float), of_rows) for name in self.by]

        def stays(share: float) -> NDArray[np.bool_]:
            reached: NDArray[np.bool_] = np.all([column.reach(share) for column in columns], axis=0)
            return reached

        low, high = 0.0, 1.0
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            few = np.count_nonzero(stays(middle)) <= self.number
            low, high = (low, middle) if few else (middle, high)
        leaves[rows[~stays(high)]] = True
        found = [column.thresholds(high).tolist() for column in columns]
        thresholds = {
            str(concept): dict(zip(self.by, each, strict=True))
            for concept, each in zip(names, zip(*found, strict=True), strict=True)
        }
        which = np.zeros(len(there), dtype=np.int32)  # row -> its concept's place in `names`
        which[rows] = of_rows
        judged = {name: scores[name] for name in self.by}

        def words(row: int) -> str:
            return self._reason(judged, row, thresholds[str(names[which[row]])])

        return Choice(
            leaves, Reasons(leaves, words), {"share cut from each column": round(high, 6), "thresholds": thresholds}
        )

    def _reason(self, scores: Scores, row: int, thresholds: dict[str, float]) -> str:
        below = next(name for name in self.by if not scores[name][row] >= thresholds[name])
        return f"{below} {float(scores[below][row]):.4g} is below {thresholds[below]:.4g}, the threshold of its concept"


class _Ordered:
    """A column's values concept by concept, in their order, for thresholds at any share.

    Args:
        values: (n,); NaN counts for no threshold and reaches none.
        which: (n,), the number of each one's concept.
    """

    def __init__(self, values: NDArray[np.float64], which: NDArray[Any]) -> None:
        self.values, self.which = values, which
        self.order = values[np.lexsort((values, which))]  # NaN last, in each concept
        number = np.bincount(which)
        self.starts = np.cumsum(number) - number
        self.known = np.bincount(which[~np.isnan(values)], minlength=len(number))

    def thresholds(self, share: float) -> NDArray[np.float64]:
        """Of each concept that quantile of its values, the higher one where it lies between two; NaN without any."""
        at = np.ceil((self.known - 1) * share).astype(np.int64).clip(0)
        return np.where(self.known > 0, self.order[self.starts + at], np.nan)

    def reach(self, share: float) -> NDArray[np.bool_]:
        """Who has at least their concept's threshold."""
        reached: NDArray[np.bool_] = self.values >= self.thresholds(share)[self.which]
        return reached


def _by_value(values: NDArray[Any]) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Each value, in their order, and the places where it stands."""
    names, which = np.unique(values, return_inverse=True)
    places = np.split(np.argsort(which, kind="stable"), np.cumsum(np.bincount(which))[:-1])
    yield from zip(names.tolist(), places, strict=bool(len(values)))


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
