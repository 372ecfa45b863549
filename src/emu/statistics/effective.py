"""How many independent pairs the draws of a study are worth, where several belong to one prompt.

Kish 1965, "Survey Sampling", section 8.2: the number of draws divided by the design effect. Intervals of a share that
are made for independent draws hold for that number (Dean and Pagano 2015, J. Survey Stat. Methodol. 3(4)); near 0 and
100 % they cover better than a bootstrap does (docs/results/statistics.md).
"""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from emu.statistics.bootstrap import by_prompt


def effective_number(values: ArrayLike, prompts: Sequence[Hashable]) -> float:
    """The n at which independent `values`, float (n,), would have a mean as uncertain as theirs, at most n.

    The number of values where each has a prompt of its own, the number of prompts where those of a prompt agree.
    """
    numbers = np.asarray(values, dtype=np.float64)
    sums, counts = by_prompt(numbers, prompts)
    if len(sums) == len(numbers) or len(sums) < 2:
        return float(len(sums))
    mean = numbers.mean()
    variance = len(sums) * (sums - counts * mean).var(ddof=1) / len(numbers) ** 2  # of the mean, prompts as the units
    if variance == 0:
        return float(len(sums))
    return float(min(len(numbers), max(1.0, numbers.var() / variance)))
