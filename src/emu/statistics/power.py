"""How many prompts a question takes, by the exact sign test.

prompts_needed(0.55)   # to see 55 % against 50 % in 8 studies of 10
"""

import math

import numpy as np
from scipy import stats

LARGEST = 1_000_000


def power(rate: float, n: int, *, alpha: float = 0.05) -> float:
    """How often the two-sided sign test at `alpha` rejects 50 % when `rate` of n decisive prompts are won."""
    edge = _edge(n, alpha)
    return float(stats.binom.cdf(edge, n, rate) + stats.binom.sf(n - edge - 1, n, rate))


def prompts_needed(rate: float, *, power_wanted: float = 0.8, alpha: float = 0.05, ties: float = 0.0) -> int:
    """The smallest number of prompts from which on a win rate of `rate` is seen as often as `power_wanted`.

    `rate` is of the decisive prompts, and `ties` the share that is not: of those, more are needed. The power of an
    exact test goes up and down with n; what counts is that it stays up.

    Raises:
        ValueError: rates outside of [0,1], or so near 50 % that a million prompts do not tell.
    """
    if not (0 <= rate <= 1 and 0 <= ties < 1 and 0 < power_wanted < 1):
        raise ValueError("rate and ties are shares of prompts, from 0 to 1, and the power is between 0 and 1")
    high = 8
    while not _stays(rate, high, power_wanted, alpha):
        high *= 2
        if high > LARGEST:
            raise ValueError(f"a win rate of {rate:g} is too near to 0.5 to be distinguished by {LARGEST:,} prompts")
    low = high // 2
    numbers = range(low, high + 1)
    enough = [power(rate, n, alpha=alpha) >= power_wanted for n in numbers]
    last = max((n for n, held in zip(numbers, enough, strict=True) if not held), default=low - 1)
    return math.ceil((last + 1) / (1 - ties))


def smallest_rate(n: int, *, power_wanted: float = 0.8, alpha: float = 0.05) -> float | None:
    """The least win rate above 50 %, in steps of 0.001, that n decisive prompts see; None where none is seen."""
    rates, edge = np.arange(0.501, 1.0005, 0.001), _edge(n, alpha)
    found = stats.binom.cdf(edge, n, rates) + stats.binom.sf(n - edge - 1, n, rates)
    seen = rates[found >= power_wanted]
    return round(float(seen[0]), 3) if seen.size else None


def _edge(n: int, alpha: float) -> int:
    """The most wins (or losses) of n that are few enough to reject; -1 where not even none is."""
    edge = int(stats.binom.ppf(alpha / 2, n, 0.5))
    while edge >= 0 and stats.binom.cdf(edge, n, 0.5) > alpha / 2:
        edge -= 1
    return edge


def _stays(rate: float, n: int, wanted: float, alpha: float) -> bool:
    """Whether the power is up at n and at some dozens of numbers above, where it may dip."""
    return all(power(rate, n + more, alpha=alpha) >= wanted for more in range(40))
