"""Intervals of means and ratios that take prompts as their units: the draws and votes of one prompt stay together.

To take each vote for a unit is to take five opinions of one picture for five pictures: such a "95 %" interval covers
the truth about 80 times in a hundred (docs/results/statistics.md).
"""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

Interval = tuple[float, float]


def by_prompt(values: ArrayLike, prompts: Sequence[Hashable]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(sum of the values, number of them) of each distinct prompt: float64 (k,) twice, in order of first appearance."""
    place = {prompt: i for i, prompt in enumerate(dict.fromkeys(prompts))}
    rows = np.array([place[prompt] for prompt in prompts], dtype=np.intp)
    sums = np.bincount(rows, np.asarray(values, dtype=np.float64), minlength=len(place)).astype(np.float64)
    return sums, np.bincount(rows, minlength=len(place)).astype(np.float64)


def ratio_interval(above: ArrayLike, below: ArrayLike, *, level: float = 0.95) -> Interval:
    """The interval of sum(above) / sum(below), float (k,) each with one number a prompt.

    Student's, about the ratio, with the spread that it has when each prompt in turn is left out: the jackknife, which
    takes it rather too wide than too narrow (Efron and Stein 1981, Ann. Statist. 9(3)). Of a mean of k numbers it is
    the very interval of the t test. It has no width where all prompts have one ratio, and no finite end where one
    prompt alone has all of `below`.

    Raises:
        ValueError: fewer than two prompts, or numbers that are not finite.
    """
    first, second = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape or len(first) < 2 or not np.isfinite([first, second]).all():
        raise ValueError("an interval needs finite numbers, one a prompt, of at least two prompts")
    count = len(first)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = first.sum() / second.sum()
        without = (first.sum() - first) / (second.sum() - second)
        spread = np.sqrt((count - 1) / count * ((without - ratio) ** 2).sum())
    half = stdtrit(count - 1, (1 + level) / 2) * spread
    return float(ratio - half), float(ratio + half)


def mean_interval(values: ArrayLike, prompts: Sequence[Hashable], *, level: float = 0.95) -> Interval:
    """The interval of the mean of `values`, float (n,), several of which may belong to one prompt."""
    return ratio_interval(*by_prompt(values, prompts), level=level)
