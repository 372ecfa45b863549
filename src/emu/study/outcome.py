"""What the runs of a study came to, read from their folders: needs no GPU, no weights and no architecture.

All rates are of prompts. A prompt that was drawn with several seeds is one cluster of draws: intervals come from how
prompts differ, and are no narrower for the draws of one prompt that go together.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from emu import runs
from emu.compare.drift import measures
from emu.compare.pictures import open_picture
from emu.errors import UserError
from emu.statistics import MeanDifference, WinRate, mean_difference, outcomes

Scores = dict[tuple[str, int], float]
"""(prompt, seed) -> score."""

DRIFTS = ("contrast", "saturation", "brightness")


@dataclass(frozen=True)
class Draws:
    """One step of one run: its pictures' scores by criterion, and colour and contrast by measure."""

    scores: Mapping[str, Scores]
    drift: Mapping[str, Scores]


@dataclass(frozen=True)
class Run:
    """A run's steps, the one kept as the best, and its judges' ties."""

    folder: Path
    steps: dict[int, Draws]
    best: int
    ties: Mapping[str, float]
    stop_reason: str


def read(folder: Path) -> Run:
    """A run that has ended; UserError where it was not judged."""
    quality = runs.read_quality(folder)
    if not quality.get("judges"):
        raise UserError(f"{folder}: not judged; a study needs quality.appeal, such as emu.judges.world.WorldAppeal")
    steps = {step: _draws(runs.step_folder(folder, step)) for step in runs.complete_steps(folder)}
    best = quality["best_step"]
    return Run(
        folder=folder,
        steps=steps,
        best=min(steps) if best is None else best,  # nothing was better than the base: it stays the base
        ties={criterion: judge["tie"] for criterion, judge in quality["judges"].items()},
        stop_reason=quality["stop_reason"],
    )


def _draws(folder: Path) -> Draws:
    rows, scores = runs.read_samples(folder), runs.read_scores(folder)
    found: dict[str, Scores] = defaultdict(dict)
    moved: dict[str, Scores] = defaultdict(dict)
    for row in rows:
        key = (row["prompt"], row["seed"])
        for criterion, score in scores[row["file"]].items():
            found[criterion][key] = score
        for measure, value in measures(np.asarray(open_picture(folder / row["file"]))).items():
            moved[measure][key] = value
    return Draws(dict(found), dict(moved))


def rate(pairs: Sequence[tuple[Scores, Scores]], *, tie: float) -> WinRate | None:
    """How often the second side of each pair (one a seed) wins; None where the two share no prompt and seed.

    The interval is Wilson's at the effective number of draws: as many independent draws as would make the rate as sure
    as it is, given how its prompts differ; at least the number of prompts, at most that of draws (Dean and Pagano
    2015, J. Surv. Stat. Methodol. 3(4)).
    """
    by_prompt: dict[str, list[int]] = defaultdict(list)
    for before, after in pairs:
        shared = [key for key in before if key in after]
        if not shared:
            continue
        signs = outcomes([before[key] for key in shared], [after[key] for key in shared], tie=tie)
        for (prompt, _), sign in zip(shared, signs.tolist(), strict=True):
            by_prompt[prompt].append(sign)
    if not by_prompt:
        return None
    signs_of = list(by_prompt.values())
    draws = sum(map(len, signs_of))
    win, lose = (sum(sign == side for signs in signs_of for sign in signs) / draws for side in (1, -1))
    low, high = _wilson(win, effective([[sign == 1 for sign in signs] for signs in signs_of]))
    return WinRate(draws, 100 * win, 100 * (1 - win - lose), 100 * lose, (100 * low, 100 * high))


def effective(clusters: Sequence[Sequence[bool]]) -> float:
    """How many independent draws are worth these, given in clusters."""
    sizes, won = (np.array([f(cluster) for cluster in clusters], dtype=np.float64) for f in (len, sum))
    draws, prompts = float(sizes.sum()), len(clusters)
    p = float(won.sum()) / draws
    if prompts < 2 or p in (0.0, 1.0):
        return float(prompts)
    variance = float(((won - p * sizes) ** 2).sum()) / draws**2 * prompts / (prompts - 1)
    return min(draws, max(float(prompts), p * (1 - p) / variance)) if variance else draws


def _wilson(p: float, n: float) -> tuple[float, float]:
    # scipy's takes whole numbers of draws only.
    z = float(stats.norm.ppf(0.975))
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, (middle - half) / (1 + z * z / n)), min(1.0, (middle + half) / (1 + z * z / n))


def moved(pairs: Sequence[tuple[Scores, Scores]]) -> MeanDifference:
    """Means of both sides and of the difference, a value a prompt: the mean of its draws."""
    sides: tuple[dict[str, list[float]], ...] = (defaultdict(list), defaultdict(list))
    for pair in pairs:
        for key in pair[0]:
            for side, scores in zip(sides, pair, strict=True):
                side[key[0]].append(scores[key])
    before, after = ([float(np.mean(values)) for values in side.values()] for side in sides)
    return mean_difference(before, after)


def net(pairs: Sequence[tuple[Scores, Scores]], *, tie: float) -> MeanDifference:
    """Win - lose in percentage points over the keys of both: the `difference`, with Student's interval over prompts."""
    lost, won = [], []
    for before, after in pairs:
        keys = [key for key in before if key in after]
        signs = outcomes([before[key] for key in keys], [after[key] for key in keys], tie=tie)
        lost.append({key: 100.0 * (sign < 0) for key, sign in zip(keys, signs, strict=True)})
        won.append({key: 100.0 * (sign > 0) for key, sign in zip(keys, signs, strict=True)})
    return moved(list(zip(lost, won, strict=True)))
