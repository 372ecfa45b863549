"""Win rates and mean differences with their intervals, for two sets of pictures paired by prompt and seed.

All functions take the scores of the same n pairs in the same order. `prompts` names the prompt of each: pairs of one
prompt, drawn from several seeds, are not independent, and intervals take the prompts as the units. Without it every
pair has a prompt of its own.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.special import stdtrit

from emu.statistics.intervals import Interval, by_prompt, mean_interval

Prompts = Sequence[Hashable] | None

ROUNDED = 2.0**-22  # of the larger score: how far the difference of two float32 may be from that of what they stand for


@dataclass(frozen=True)
class Shares:
    """How often `after` beats `before`, in percent of pairs; win + tie + lose = 100.

    `ci95` is the 95 % interval of `win`: a tie counts as not won, so it says how sure we are of the wins alone.
    """

    win: float
    tie: float
    lose: float
    ci95: Interval


@dataclass(frozen=True)
class WinRate(Shares):
    """Of `n` pairs."""

    n: int


@dataclass(frozen=True)
class NetRate:
    """`net` = win - lose in percentage points, in [-100, 100], with its 95 % interval."""

    net: float
    ci95: Interval


@dataclass(frozen=True)
class Rates(Shares):
    """With `NetRate` of the same pairs."""

    net: float
    net_ci95: Interval

    @property
    def direction(self) -> int:
        """1 where after is better, -1 where before is, 0 where the interval of win - lose leaves it open."""
        low, high = self.net_ci95
        return int(low > 0) - int(high < 0)


@dataclass(frozen=True)
class MeanDifference:
    """Means of both sides and of `after - before`, with the 95 % interval of the latter.

    `ci95` is None of one prompt, which says nothing of how others differ.
    """

    before: float
    after: float
    difference: float
    ci95: Interval | None


def outcomes(before: Sequence[float], after: Sequence[float], *, tie: float) -> NDArray[np.int8]:
    """Per pair +1 where `after` wins, 0 where the two differ by at most `tie`, -1 where it loses; int8 (n,).

    Rounding decides nothing: at a tie of 0.1 the scores 0.3 and 0.4 tie as 0.2 and 0.3 do.
    """
    first, second = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    difference = second - first
    if difference.ndim != 1 or difference.size == 0 or not np.isfinite(difference).all():
        raise ValueError("scores must be finite numbers, one a pair, of at least one pair")
    edge = tie + ROUNDED * np.maximum(np.abs(first), np.abs(second)) if tie else 0
    return np.where(np.abs(difference) <= edge, 0, np.sign(difference)).astype(np.int8)


def win_rate(before: Sequence[float], after: Sequence[float], *, tie: float, prompts: Prompts = None) -> WinRate:
    """Win, tie and lose in percent of pairs, with Wilson's score interval of `win` at their effective number."""
    signs = outcomes(before, after, tie=tie)
    win, lose = (100 * float((signs == sign).mean()) for sign in (1, -1))
    ci95 = _wilson(win / 100, _independent(signs > 0, prompts))
    tied = 100 * int((signs == 0).sum()) / signs.size
    return WinRate(n=signs.size, win=win, tie=tied, lose=lose, ci95=ci95)


def net_rate(before: Sequence[float], after: Sequence[float], *, tie: float, prompts: Prompts = None) -> NetRate:
    """Win - lose with the adjusted Wald interval for paired proportions, at the effective number of pairs.

    Bonett and Price 2012, J. Educ. Behav. Stat. 37(4): one win and one loss are added to the counts before the normal
    approximation, which keeps its coverage at small n and a width above zero when every pair ties.
    """
    signs = outcomes(before, after, tie=tie)
    n = _independent(signs, prompts)
    p, q = ((float((signs == sign).mean()) * n + 1) / (n + 2) for sign in (1, -1))
    half = float(stats.norm.ppf(0.975)) * math.sqrt((p + q - (p - q) ** 2) / (n + 2))
    low, high = max(-1.0, p - q - half), min(1.0, p - q + half)
    return NetRate(net=100 * float(signs.mean()), ci95=(100 * low, 100 * high))


def rates(before: Sequence[float], after: Sequence[float], *, tie: float, prompts: Prompts = None) -> Rates:
    """Both rates at once."""
    won = win_rate(before, after, tie=tie, prompts=prompts)
    net = net_rate(before, after, tie=tie, prompts=prompts)
    return Rates(won.win, won.tie, won.lose, won.ci95, net.net, net.ci95)


def mean_difference(before: Sequence[float], after: Sequence[float], *, prompts: Prompts = None) -> MeanDifference:
    """The mean of the paired differences with Student's interval over prompts, which has no width where all are the
    same; of one prompt there is none.
    """
    first, second = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    units: Sequence[Hashable] = range(len(first)) if prompts is None else prompts
    ci95 = mean_interval(second - first, units) if len(set(units)) > 1 else None
    return MeanDifference(float(first.mean()), float(second.mean()), float((second - first).mean()), ci95)


def effective_number(values: ArrayLike, prompts: Sequence[Hashable]) -> float:
    """The n at which independent `values`, float (n,), would have a mean as uncertain as theirs, at most n.

    The number of values where each has a prompt of its own, the number of prompts where those of a prompt agree and
    all have as many: the number of draws over the design effect (Kish 1965, "Survey Sampling", section 8.2), less where
    few prompts say how much prompts differ (Korn and Graubard 1998, Survey Methodology 24(2)). Intervals of a share
    that are made for independent draws hold for it (Dean and Pagano 2015, J. Survey Stat. Methodol. 3(4)); near 0 and
    100 % they cover better than a bootstrap does (docs/results/statistics.md).
    """
    numbers = np.asarray(values, dtype=np.float64)
    sums, counts = by_prompt(numbers, prompts)
    if len(sums) == len(numbers) or len(sums) < 2:
        return float(len(sums))
    least = len(numbers) ** 2 / (counts**2).sum()  # where the draws of a prompt agree
    variance = len(sums) * (sums - counts * numbers.mean()).var(ddof=1) / len(numbers) ** 2  # of the mean, over prompts
    if variance == 0:
        return float(least)
    known = (stdtrit(len(numbers) - 1, 0.975) / stdtrit(len(sums) - 1, 0.975)) ** 2
    return float(np.clip(known * numbers.var() / variance, least, len(numbers)))


def _independent(values: NDArray[np.generic], prompts: Prompts) -> float:
    return float(values.size) if prompts is None else effective_number(values, prompts)


def _wilson(share: float, n: float) -> Interval:
    from statsmodels.stats.proportion import proportion_confint  # brings pandas: no run should wait for it at its start

    low, high = proportion_confint(share * n, n, method="wilson")
    return 100 * min(share, float(low)), 100 * max(share, float(high))  # at 0 and 1 rounding leaves the share outside
