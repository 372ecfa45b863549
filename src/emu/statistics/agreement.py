"""Agreement between raters: Krippendorff's alpha of any number of them, Cohen's kappa of two.

Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability": 1 - observed / expected disagreement, both read off
the matrix of how often two values meet within a unit. It takes any number of raters, and gaps.
"""

from collections.abc import Hashable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Metric = Literal["nominal", "ordinal", "interval"]


def coincidences(units: Sequence[Sequence[Hashable]], values: Sequence[Hashable]) -> NDArray[np.float64]:
    """float64 (v,v): how often value i meets value j in a unit, every pair of a unit of m values weighing 1/(m-1).

    A unit with fewer than two values says nothing of agreement and is left out.
    """
    row = {value: number for number, value in enumerate(values)}
    met = np.zeros((len(values), len(values)))
    for unit in units:
        if len(unit) > 1:
            counts = np.bincount([row[value] for value in unit], minlength=len(values)).astype(np.float64)
            met += (np.outer(counts, counts) - np.diag(counts)) / (len(unit) - 1)
    return met


def differences(values: Sequence[Hashable], totals: NDArray[np.float64], metric: Metric) -> NDArray[np.float64]:
    """float64 (v,v): squared difference of two values; ordinal ones are as far apart as those between are many."""
    match metric:
        case "nominal":
            return 1 - np.eye(len(values))
        case "interval":
            numbers = np.asarray(values, dtype=np.float64)
        case "ordinal":
            numbers = np.cumsum(totals) - totals / 2
    return (numbers[:, None] - numbers[None, :]) ** 2


def krippendorff_alpha(units: Sequence[Sequence[Hashable]], *, metric: Metric = "nominal") -> float | None:
    """1 is agreement, 0 what chance would give, below 0 worse than chance.

    Args:
        units: for each thing that was rated, the values it got, in any order. Ordinal and interval values are numbers.

    Returns:
        None where alpha is not defined: no unit has two values, or all values are the same.
    """
    values = sorted({value for unit in units if len(unit) > 1 for value in unit}, key=_order)
    if len(values) < 2:
        return None
    met = coincidences(units, values)
    totals = met.sum(axis=1)
    apart = differences(values, totals, metric)
    observed = float((met * apart).sum())
    expected = float((np.outer(totals, totals) * apart).sum()) / (totals.sum() - 1)
    return 1.0 - observed / float(expected)


def _order(value: Hashable) -> tuple[bool, float, str]:
    """Numbers by size, then all else by name."""
    return (False, float(value), "") if isinstance(value, int | float) else (True, 0.0, str(value))


def cohen_kappa(first: NDArray[np.generic], second: NDArray[np.generic]) -> float | None:
    """Agreement of two raters on n things, (n,) each, beyond chance: at most 1 (Cohen 1960).

    (p_o - p_e) / (1 - p_e); None where chance alone would always agree.
    """
    kinds = np.unique(np.concatenate([first, second]))
    chance = sum(float((first == kind).mean() * (second == kind).mean()) for kind in kinds)
    return None if chance == 1 else (float((first == second).mean()) - chance) / (1 - chance)
