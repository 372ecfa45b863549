"""Balance: at most so many pictures of a concept, the best of each."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from emu.curate.stage import Choice, Reasons, Scores, Selection
from emu.curate.stages.best import rank


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
