"""Win rates and mean differences with their intervals, for two sets of pictures paired by prompt and seed.

All functions take the scores of the same prompts in the same order; n is the number of prompts. The draws of one
prompt are one pair, and pairs are taken as independent.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Interval = tuple[float, float]


@dataclass(frozen=True)
class WinRate:
    """How often `after` beats `before`, in percent of the `n` prompts; win + tie + lose = 100.

    `ci95` is the 95 % interval of `win`: a tie counts as not won, so it says how sure we are of the wins alone.
    """

    n: int
    win: float
    tie: float
    lose: float
    ci95: Interval


@dataclass(frozen=True)
class NetRate:
    """`net` = win - lose in percentage points, in [-100, 100], with its 95 % interval."""

    net: float
    ci95: Interval


@dataclass(frozen=True)
class MeanDifference:
    """Means of both sides and of `after - before`, with the 95 % interval of the latter."""

    before: float
    after: float
    difference: float
    ci95: Interval


def outcomes(before: Sequence[float], after: Sequence[float], *, tie: float) -> NDArray[np.int8]:
    """Per prompt +1 where `after` wins, 0 where the two differ by at most `tie`, -1 where it loses; int8 (n,)."""
    difference = np.asarray(after, dtype=np.float64) - np.asarray(before, dtype=np.float64)
    if difference.ndim != 1 or difference.size == 0 or not np.isfinite(difference).all():
        raise ValueError("scores must be finite numbers, one a prompt, of at least one prompt")
    return np.where(np.abs(difference) <= tie, 0, np.sign(difference)).astype(np.int8)


def win_rate(before: Sequence[float], after: Sequence[float], *, tie: float) -> WinRate:
    """Win, tie and lose in percent of prompts, with the Wilson score interval of `win`."""
    signs = outcomes(before, after, tie=tie)
    won, lost = int((signs > 0).sum()), int((signs < 0).sum())
    interval = stats.binomtest(won, signs.size).proportion_ci(confidence_level=0.95, method="wilson")
    win, lose = 100 * won / signs.size, 100 * lost / signs.size
    return WinRate(
        n=signs.size, win=win, tie=100 * (signs.size - won - lost) / signs.size, lose=lose,
        ci95=(100 * float(interval.low), 100 * float(interval.high)),
    )  # fmt: skip


def net_rate(before: Sequence[float], after: Sequence[float], *, tie: float) -> NetRate:
    """Win - lose with the adjusted Wald interval for paired proportions.

    Bonett and Price 2012, J. Educ. Behav. Stat. 37(4): one win and one loss are added to the counts before the normal
    approximation, which keeps its coverage at small n and a width above zero when every pair ties.
    """
    signs = outcomes(before, after, tie=tie)
    won, lost, n = int((signs > 0).sum()), int((signs < 0).sum()), signs.size
    p, q = (won + 1) / (n + 2), (lost + 1) / (n + 2)
    half = float(stats.norm.ppf(0.975)) * math.sqrt((p + q - (p - q) ** 2) / (n + 2))
    low, high = max(-1.0, p - q - half), min(1.0, p - q + half)
    return NetRate(net=100 * (won - lost) / n, ci95=(100 * low, 100 * high))


def mean_difference(before: Sequence[float], after: Sequence[float]) -> MeanDifference:
    """The mean of the paired differences with Student's interval, which has no width where all are the same."""
    first, second = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    moved = second - first
    mean = float(moved.mean())
    low = high = mean
    if moved.size > 1 and float(np.ptp(moved)) > 0:
        interval = stats.ttest_1samp(moved, 0).confidence_interval(0.95)
        low, high = float(interval.low), float(interval.high)
    return MeanDifference(float(first.mean()), float(second.mean()), mean, (low, high))
