"""How well a head tells what people keep, on decisions that it did not learn from; with intervals, against a coin.

Near duplicates and pictures of one caption are held out together. The penalty is chosen anew inside of each fold, so
that no held-out decision has a say in it.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from emu.statistics import mean_interval
from emu.taste.logistic import Labels, Matrix, Places, fit, folds

RESAMPLES = 1000


@dataclass(frozen=True)
class Skill:
    """Shares in [0,1] with 95 % intervals; `base` is the accuracy of saying the commoner decision every time."""

    kept: int
    rejected: int
    groups: int
    auc: float
    auc95: tuple[float, float]
    accuracy: float
    accuracy95: tuple[float, float]
    base: float

    @property
    def better_than_chance(self) -> bool:
        """Whether a coin's 0.5 lies below the interval of the AUC."""
        return self.auc95[0] > 0.5


def held_out(x: Matrix, y: Labels, groups: Places) -> Skill:
    """x (n,d), y (n,), groups (n,): each decision is guessed by a head that saw no picture of its group."""
    odds = np.full(len(y), np.nan)
    for rest, held in folds(groups, y):
        odds[held] = fit(x[rest], y[rest], groups[rest]).log_odds(x[held])
    there = ~np.isnan(odds)
    odds, y, groups = odds[there], y[there], groups[there]
    right = (odds > 0) == y
    return Skill(
        kept=int(y.sum()),
        rejected=int((~y).sum()),
        groups=len(np.unique(groups)),
        auc=auc(odds, y),
        auc95=_interval(odds, y, groups),
        accuracy=float(right.mean()),
        accuracy95=mean_interval(right, groups.tolist()),
        base=float(max(y.mean(), 1 - y.mean())),
    )


def auc(scores: Matrix, y: Labels) -> float:
    """How often a kept picture has a higher score than a rejected one, ties half."""
    ranks, kept = rankdata(scores), int(y.sum())
    return float((ranks[y].sum() - kept * (kept + 1) / 2) / (kept * (len(y) - kept)))


def _interval(scores: Matrix, y: Labels, groups: Places) -> tuple[float, float]:
    """By the bootstrap over groups, seeded."""
    rng, names = np.random.default_rng(0), np.unique(groups)
    members = [np.flatnonzero(groups == name) for name in names]
    found = []
    for _ in range(RESAMPLES):
        rows = np.concatenate([members[i] for i in rng.integers(len(names), size=len(names))])
        if 0 < y[rows].sum() < len(rows):
            found.append(auc(scores[rows], y[rows]))
    low, high = np.quantile(found, (0.025, 0.975))
    return float(low), float(high)
