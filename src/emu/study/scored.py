"""The runs of a study as their folders have them: scores, looks and guards. Needs no GPU, weights or architecture.

All rates are of prompts. A prompt that was drawn with several seeds is one cluster of draws: intervals come from how
prompts differ, and are no narrower for the draws of one prompt that go together.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from emu.compare.pictures import open_picture
from emu.compare.sides import require_scores
from emu.compare.verdict import CRITERIA
from emu.drawn import is_black
from emu.errors import UserError
from emu.guards.looks import COLOURS, colours
from emu.layouts import runs
from emu.layouts.quality_json import Check, read_quality
from emu.statistics import MeanDifference, NetRate, WinRate, mean_difference, net_rate, win_rate
from emu.study.outcome import GuardNumber

Scores = dict[tuple[str, int], float]
"""(prompt, seed) -> score."""

Pairs = Sequence[tuple[Scores, Scores]]


@dataclass(frozen=True)
class Draws:
    """One step of one run: its pictures' scores by criterion, and colour and contrast by measure."""

    scores: Mapping[str, Scores]
    drift: Mapping[str, Scores]


@dataclass(frozen=True)
class ScoredRun:
    """A run's steps, the one kept as the best, its judges' ties, and what its guards measured at every check."""

    folder: Path
    steps: dict[int, Draws]
    best: int
    ties: Mapping[str, float]
    stop_reason: str
    guards: Mapping[int, Mapping[str, GuardNumber]] = field(default_factory=dict)


def read_scored(folder: Path) -> ScoredRun:
    """A run that has ended; UserError where it was not judged."""
    quality = read_quality(folder)
    if not quality.judges:
        raise UserError(f"{folder}: not judged; a study needs quality.appeal, such as emu.judges.world.WorldAppeal")
    steps = {step: _draws(runs.step_folder(folder, step)) for step in runs.complete_steps(folder)}
    if not steps:
        raise UserError(f"{folder}: no step is drawn completely; let `emu fit` reach its first check")
    # Judges who came afterwards, by `emu compare`, have seen two steps and may have seen one run alone.
    watched = [name for name in CRITERIA if name in quality.judges and all(name in at.scores for at in steps.values())]
    best = quality.best_step
    return ScoredRun(
        folder=folder,
        steps=steps,
        best=min(steps) if best is None else best,  # nothing was better than the base: it stays the base
        ties={criterion: quality.judges[criterion]["tie"] for criterion in watched},
        stop_reason=quality.stop_reason or "",
        guards={check.step: _measured(check) for check in quality.checks},
    )


def _measured(check: Check) -> dict[str, GuardNumber]:
    return {one.guard: GuardNumber(one.value, one.ci95) for one in check.guards if one.value is not None and one.ci95}


def _draws(folder: Path) -> Draws:
    rows, scores = runs.read_samples(folder), runs.read_scores(folder)
    require_scores(folder, scores)
    if absent := [row["file"] for row in rows if row["file"] not in scores]:
        raise UserError(f"{folder / runs.SCORES}: no scores of {absent[0]}; remove it, and judge again")
    found: dict[str, Scores] = defaultdict(dict)
    looks: dict[str, Scores] = defaultdict(dict)
    for row in rows:
        if is_black(folder / row["file"]):  # which counts in no verdict
            continue
        key = (row["prompt"], row["seed"])
        for criterion, score in scores[row["file"]].items():
            found[criterion][key] = score
        measures = colours(np.asarray(open_picture(folder / row["file"]))).tolist()
        for measure, value in zip(COLOURS, measures, strict=True):
            looks[measure][key] = value
    return Draws(dict(found), dict(looks))


def rate(pairs: Pairs, *, tie: float) -> WinRate | None:
    """How often the second side of each pair (one a seed) wins; None where the two share no prompt and seed."""
    before, after, prompts = _columns(pairs)
    return win_rate(before, after, tie=tie, prompts=prompts) if prompts else None


def net(pairs: Pairs, *, tie: float) -> NetRate:
    """Win - lose in percentage points."""
    before, after, prompts = _columns(pairs)
    return net_rate(before, after, tie=tie, prompts=prompts)


def moved(pairs: Pairs) -> MeanDifference:
    """Means of both sides and of the difference."""
    before, after, prompts = _columns(pairs)
    return mean_difference(before, after, prompts=prompts)


def _columns(pairs: Pairs) -> tuple[list[float], list[float], list[str]]:
    """(before, after, prompt) of every prompt and seed that both sides of a pair have."""
    shared = [(pair, key) for pair in pairs for key in pair[0] if key in pair[1]]
    before, after = ([pair[side][key] for pair, key in shared] for side in (0, 1))
    return before, after, [prompt for _, (prompt, _) in shared]
