"""The exact sign test: could the wins and losses be those of a coin?"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from emu.statistics.bootstrap import by_prompt


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
