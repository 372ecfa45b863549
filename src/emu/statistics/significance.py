"""Tests: could the wins and losses be those of a coin, and how sure is one of many questions?"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from emu.statistics.intervals import by_prompt


@dataclass(frozen=True)
class SignTest:
    """Prompts won and lost, and `p`: how often a fair coin is at least as far from a draw (two-sided, exact)."""

    won: int
    lost: int
    p: float


def sign_test(signs: ArrayLike, prompts: Sequence[Hashable]) -> SignTest:
    """The test of +1 (won), 0 (tied), -1 (lost), int (n,); a prompt of several draws is one toss, for its majority.

    Ties say nothing of either side and are left out (Dixon and Mood 1946, JASA 41(236)).
    """
    sums, _ = by_prompt(signs, prompts)
    won, lost = int((sums > 0).sum()), int((sums < 0).sum())
    p = float(stats.binomtest(won, won + lost).pvalue) if won + lost else 1.0
    return SignTest(won, lost, float(np.clip(p, 0, 1)))


def corrected(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down: below 0.05 with a chance of at most 5 % that any of them is a false alarm.

    Holm 1979, Scand. J. Statist. 6(2); it needs no independence, which categories that share prompts do not have.
    """
    if not p_values:
        return []
    from statsmodels.stats.multitest import multipletests  # brings pandas: no run should wait for it at its start

    return [float(p) for p in multipletests(p_values, method="holm")[1]]


def simultaneous_level(questions: int, *, level: float = 0.95) -> float:
    """The level of each of so many intervals at which all of them hold at once with `level` (Bonferroni)."""
    return 1 - (1 - level) / max(1, questions)
