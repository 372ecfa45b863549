"""A budget: "so many for people to look at". Thresholds are set by quantile, concept by concept."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emu.curate.stage import Choice, Reasons, Scores, Selection

HALVINGS = 40


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
            few = sum(self._stay(scores, rows, concepts, middle)[0]) <= self.number
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
