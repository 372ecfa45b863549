"""Strengths of several models from comparisons of two at a time: Bradley and Terry 1952, fitted by choix.

P(i beats j) = 1 / (1 + exp(s_j - s_i)); a tie is half a win for each. The intervals resample prompts, never votes:
votes on one prompt are not independent, and intervals that resample them are too narrow.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
    """A model's log-odds strength, with mean 0 over all models, and its 95 % interval."""

    model: str
    strength: float
    ci95: tuple[float, float]


def strengths(comparisons: Sequence[Comparison], *, resamples: int = 1000, seed: int = 0) -> list[Strength]:
    """Strongest first; ValueError where the comparisons do not link all models with each other."""
    models = sorted({model for one in comparisons for model in (one.first, one.second)})
    wins = by_prompt(comparisons, models)
    if not linked(wins.sum(axis=0)):
        raise ValueError("some models were never compared with the others, not even over a third")
    fitted = fit(wins.sum(axis=0))
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(wins), np.full(len(wins), 1 / len(wins)), size=resamples)
    # A resample of few prompts may leave a model out; the prior then holds it at the middle.
    resampled = np.stack([fit(np.tensordot(counts, wins, axes=1)) for counts in drawn])
    low, high = np.percentile(resampled, [2.5, 97.5], axis=0)
    found = [Strength(model, float(fitted[i]), (float(low[i]), float(high[i]))) for i, model in enumerate(models)]
    return sorted(found, key=lambda one: -one.strength)


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
