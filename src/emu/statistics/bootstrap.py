"""Bootstrap intervals that resample prompts: the draws and votes of one prompt stay together.

To resample votes is to take five opinions of one picture for five pictures: such a "95 %" interval covers the truth
about 80 times in a hundred (docs/results/statistics.md).
"""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Interval = tuple[float, float]

RESAMPLES = 2000
AT_ONCE = 200  # resamples in memory together


def by_prompt(values: ArrayLike, prompts: Sequence[Hashable]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(sum of the values, number of them) of each distinct prompt: float64 (k,) twice, in order of first appearance."""
    place = {prompt: i for i, prompt in enumerate(dict.fromkeys(prompts))}
    rows = np.array([place[prompt] for prompt in prompts], dtype=np.intp)
    sums = np.bincount(rows, np.asarray(values, dtype=np.float64), minlength=len(place)).astype(np.float64)
    return sums, np.bincount(rows, minlength=len(place)).astype(np.float64)


def ratio_interval(above: ArrayLike, below: ArrayLike, *, level: float = 0.95) -> Interval:
    """The interval of sum(above) / sum(below), float (k,) each with one number a prompt, both resampled together.

    The percentile interval, expanded for small k (Hesterberg 2015, The American Statistician 69(4), section 5.3). It
    has no width where all prompts have one ratio, and an end that is not finite where so few of `below` are above 0
    that they are drawn out of a resample. Seeded: the same numbers give the same interval.

    Raises:
        ValueError: fewer than two prompts, or numbers that are not finite.
    """
    pairs = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    if pairs[0].ndim != 1 or pairs[0].shape != pairs[1].shape or len(pairs[0]) < 2 or not np.isfinite(pairs).all():
        raise ValueError("a bootstrap needs finite numbers, one a prompt, of at least two prompts")
    with np.errstate(divide="ignore", invalid="ignore"):
        found = stats.bootstrap(
            pairs,
            lambda first, second, axis: first.sum(axis=axis) / second.sum(axis=axis),
            paired=True,
            vectorized=True,
            method="percentile",
            confidence_level=expanded(level, len(pairs[0])),
            n_resamples=RESAMPLES,
            batch=AT_ONCE,
            rng=np.random.default_rng(0),
        ).confidence_interval
    return float(found.low), float(found.high)


def mean_interval(values: ArrayLike, prompts: Sequence[Hashable], *, level: float = 0.95) -> Interval:
    """The interval of the mean of `values`, float (n,), several of which may belong to one prompt."""
    return ratio_interval(*by_prompt(values, prompts), level=level)


def expanded(level: float, k: int) -> float:
    """The level that a percentile interval over k units is taken at to cover `level`: it is narrow by itself."""
    quantile = stats.t.ppf((1 + level) / 2, k - 1) * np.sqrt(k / (k - 1))
    return float(1 - 2 * stats.norm.cdf(-quantile))
