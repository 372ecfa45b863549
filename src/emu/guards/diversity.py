"""Diversity: whether one prompt still gives different pictures from different seeds. A model that has memorised two
thousand pictures draws the same few from any seed.

Two numbers, each after / before: the mean distance of two pictures of one prompt, and the Vendi score, the effective
number of different pictures (Friedman and Dieng 2022, arXiv 2210.02410), with a Gaussian kernel as wide as two
pictures of one prompt typically were apart before.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emu.guards.evidence import Evidence, Numbers
from emu.guards.finding import Finding, Part, not_measured
from emu.guards.guard import Guard
from emu.guards.looks import distances
from emu.statistics import ratio_interval

NAMES = ("diversity over seeds", "effective number of pictures a prompt")


@dataclass(frozen=True)
class Diversity(Guard):
    """Broken where a ratio is below `threshold`: with a tenth lost, seeds begin to repeat."""

    threshold: float = 0.9
    kind, unit, unchanged = "at_least", "times before", 1.0

    def __call__(self, evidence: Evidence) -> list[Finding]:
        before, after = evidence.before.features, evidence.after.features
        rows = [members for members in members_of(evidence.prompts) if len(members) > 1]
        if len(rows) < 2:
            return [not_measured(NAMES[0], "needs two prompts or more that are drawn from several seeds each")]
        if before is None or after is None:
            return [not_measured(NAMES[0], "nobody has looked at the pictures")]
        apart = [[distances(side[members], side[members]) for members in rows] for side in (before, after)]
        width = float(np.median(np.concatenate([_pairs(one) for one in apart[0]])))
        if width == 0:
            return [not_measured(NAMES[0], "before tuning, most pictures of one prompt were already the same")]
        means = [[float(_pairs(one).mean()) for one in side] for side in apart]
        scores = [[vendi(np.exp(-((one / width) ** 2) / 2)) for one in side] for side in apart]
        return [self._finding(name, *sides) for name, sides in zip(NAMES, (means, scores), strict=True)]

    def _finding(self, name: str, before: list[float], after: list[float]) -> Finding:
        ratio, ci95 = sum(after) / sum(before), ratio_interval(after, before)
        words = "pictures of one prompt differ {} times as much"
        if name != NAMES[0]:
            words = "the different pictures a prompt are {} times as many"
        means: Part = {"before": float(np.mean(before)), "after": float(np.mean(after)), "prompts": len(before)}
        return self.found(name, f"{words.format(f'{ratio:.2f}')} as before", ratio, ci95, parts=[means])


def members_of(prompts: Sequence[str]) -> list[list[int]]:
    """The pairs of each distinct prompt, in order of first appearance."""
    members: dict[str, list[int]] = {}
    for i, prompt in enumerate(prompts):
        members.setdefault(prompt, []).append(i)
    return list(members.values())


def vendi(similarity: Numbers) -> float:
    """exp of the entropy of the eigenvalues of K / n, K (n,n) with a diagonal of 1: from 1 (all alike) to n."""
    eigenvalues = np.linalg.eigvalsh(similarity.astype(np.float64) / len(similarity))
    kept = eigenvalues[eigenvalues > 1e-12]
    return float(np.exp(-(kept * np.log(kept)).sum()))


def _pairs(apart: Numbers) -> Numbers:
    found: Numbers = apart[np.triu_indices(len(apart), 1)]
    return found
