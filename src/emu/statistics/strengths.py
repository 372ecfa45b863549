"""Strengths of several models from comparisons of two at a time: Bradley and Terry 1952, fitted by choix.

P(i beats j) = 1 / (1 + exp(s_j - s_i)); a tie is half a win for each. The intervals resample prompts, never votes:
votes on one prompt are not independent, and intervals that resample them are too narrow. A model that never lost has no
largest strength that the votes speak against: its interval is open upwards, and one that never won is open downwards.
Of one prompt all ends are open.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Numbers = NDArray[np.float64]
PRIOR = 1e-3  # choix's alpha: keeps a model that won every time, or none, at a finite strength


@dataclass(frozen=True)
class Comparison:
    """One vote between two models on a prompt; `won` is 1 for `first`, 0 for `second`, 0.5 for a tie."""

    prompt: str
    first: str
    second: str
    won: float


@dataclass(frozen=True)
class Strength:
    """A model's log-odds strength, with mean 0 over all models, and its 95 % interval; None at an end that is open.

    The strength of a model whose interval is open is by PRIOR, and says no more than that it is large, or small.
    """

    model: str
    strength: float
    ci95: tuple[float | None, float | None]


def strengths(comparisons: Sequence[Comparison], *, resamples: int = 1000, seed: int = 0) -> list[Strength]:
    """Strongest first; ValueError where the comparisons do not link all models with each other."""
    models = sorted({model for one in comparisons for model in (one.first, one.second)})
    wins = by_prompt(comparisons, models)
    if not linked(wins.sum(axis=0)):
        raise ValueError("some models were never compared with the others, not even over a third")
    fitted = fit(wins.sum(axis=0))
    if len(wins) == 1:  # which says nothing of how prompts differ
        return _ranked(models, fitted, np.full_like(fitted, -np.inf), np.full_like(fitted, np.inf))
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(wins), np.full(len(wins), 1 / len(wins)), size=resamples)
    drawn = [np.tensordot(each, wins, axes=1) for each in counts]
    resampled, ends = np.stack([fit(each) for each in drawn]), np.stack([unbounded(each) for each in drawn])
    # An end among resamples in which the model beat all others, or lost to all, would be the prior's word: it is open.
    tail = 50 * (1 - expanded(0.95, len(wins)))
    low = np.percentile(np.where(ends[:, 0], -np.inf, resampled), tail, axis=0, method="lower")
    high = np.percentile(np.where(ends[:, 1], np.inf, resampled), 100 - tail, axis=0, method="higher")
    downwards, upwards = unbounded(wins.sum(axis=0))
    if (winners := upwards & ~downwards).any():
        low[winners] = nearest(wins, fitted, winners)[winners]
    if (losers := downwards & ~upwards).any():
        high[losers] = nearest(wins, fitted, ~losers)[losers]
    return _ranked(models, fitted, low, high)


def _ranked(models: Sequence[str], fitted: Numbers, low: Numbers, high: Numbers) -> list[Strength]:
    found = [Strength(model, float(fitted[i]), (_end(low[i]), _end(high[i]))) for i, model in enumerate(models)]
    return sorted(found, key=lambda one: -one.strength)


def expanded(level: float, k: int) -> float:
    """The level that a percentile interval over k units, two or more, is taken at to cover `level`: it is narrow by
    itself (Hesterberg 2015, The American Statistician 69(4), section 5.3).
    """
    quantile = stats.t.ppf((1 + level) / 2, k - 1) * np.sqrt(k / (k - 1))
    return float(1 - 2 * stats.norm.cdf(-quantile))


def unbounded(wins: NDArray[np.float64]) -> NDArray[np.bool_]:
    """bool (2,v): whether a model's strength has no lower end, and no upper one, by wins (v,v).

    So it is where all votes between two groups of models went one way. Strengths have mean 0 over all models, so that
    a group between two others has neither end.
    """
    from scipy.sparse.csgraph import connected_components

    groups, group = connected_components(wins > 0, directed=True, connection="strong")
    if groups == 1:
        return np.zeros((2, len(wins)), dtype=bool)
    across = (wins > 0) & (group[:, None] != group[None, :])
    beaten, beat = (np.array([across.any(axis)[group == g].any() for g in group]) for axis in (0, 1))
    return np.stack([~beat | beaten, ~beaten | beat])


def nearest(wins: NDArray[np.float64], fitted: NDArray[np.float64], winners: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Strengths (v,) where the winners, who lost to nobody else, are as near to the rest as 95 % allow.

    There so one-sided a record has a chance of 2.5 %, a prompt counting once however many voted on it. Resamples are
    all as one-sided, and do not tell.
    """
    from scipy.optimize import brentq

    votes = wins[:, winners][:, :, ~winners]
    weights = (votes / np.maximum(votes.sum(axis=(1, 2), keepdims=True), 1e-9)).sum(axis=0)
    inside = np.where(winners, fitted - fitted[winners].mean(), fitted - fitted[~winners].mean())
    apart = np.subtract.outer(inside[winners], inside[~winners])

    def above(distance: float) -> float:
        return float(-(weights * np.logaddexp(0, -apart - distance)).sum() - np.log(0.025))

    distance = brentq(above, -100, 100)
    return np.asarray(inside + distance * np.where(winners, (~winners).mean(), -winners.mean()))


def _end(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def by_prompt(comparisons: Sequence[Comparison], models: Sequence[str]) -> NDArray[np.float64]:
    """float64 (prompts, models, models): how often on a prompt model i beat model j, ties as halves."""
    row = {model: number for number, model in enumerate(models)}
    prompts = {prompt: number for number, prompt in enumerate(dict.fromkeys(one.prompt for one in comparisons))}
    wins = np.zeros((len(prompts), len(models), len(models)))
    for one in comparisons:
        prompt, i, j = prompts[one.prompt], row[one.first], row[one.second]
        wins[prompt, i, j] += one.won
        wins[prompt, j, i] += 1 - one.won
    return wins


def linked(wins: NDArray[np.float64]) -> bool:
    """Whether every two models were compared, over others if need be."""
    from scipy.sparse.csgraph import connected_components

    return bool(connected_components(wins + wins.T, directed=False)[0] == 1)


def fit(wins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Wins (v,v) of i over j -> strengths (v,), with mean 0."""
    import choix

    found: NDArray[np.float64] = choix.ilsr_pairwise_dense(wins, alpha=PRIOR, max_iter=1000)
    return np.asarray(found - found.mean())
