"""Pairs: the same prompt and seed, drawn before and after. Reads folders and nothing else."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from emu import runs
from emu.compare.columns import columns
from emu.compare.sides import Key, Side, drawn
from emu.drawn import is_black
from emu.errors import UserError, printable

CRITERIA = ("appeal", "faithfulness")
CATEGORIES = ("group", "category", "challenge")  # columns of a prompt file, in any case; the latter two of PartiPrompts


@dataclass(frozen=True)
class Pair:
    """Two pictures of one prompt and seed; (before, after) by criterion in `scores`, by every judge in `opinions`.

    `groups` has the category that the prompt is in for each column of CATEGORIES that it came with.
    """

    prompt: str
    seed: int
    group: str | None
    before: Path
    after: Path
    scores: dict[str, tuple[float, float]]
    opinions: dict[str, tuple[float, float]] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """What is compared: a run's step 0 with its best step (the last one where none was kept as the best), or folders.

    Args:
        names: how the two sides are called.
        alone: files on either side that have no partner on the other.
        black: pairs left out because a picture is black all over (`emu.drawn`).
        sampler: the settings that all pictures were drawn with; those of single prompts are not among them.
        sampler_differs: settings in which before and after were not drawn alike; none in a run.
        quality: what `quality.json` says; of two folders only who judged.
        before_step, after_step: of a run.
        by_name: whether pictures were paired by their file names, so that no seeds are known.
        notes: what a reader has to know of how the pairs came about.
    """

    name: str
    names: tuple[str, str]
    pairs: list[Pair]
    alone: list[str]
    black: int
    sampler: dict[str, Any]
    sampler_differs: list[str]
    quality: dict[str, Any]
    before_step: int | None = None
    after_step: int | None = None
    by_name: bool = False
    notes: tuple[str, ...] = ()

    @property
    def criteria(self) -> list[str]:
        """The criteria that every picture of the run was judged by."""
        return [name for name in CRITERIA if all(name in pair.scores for pair in self.pairs)]

    def columns(self, criterion: str) -> list[str]:
        """The columns of `opinions` that judge a criterion and are there for every pair, the headline's first."""
        named = columns(self.quality, criterion)
        return [name for name in named if all(name in pair.opinions for pair in self.pairs)]


def read_run(run: Path) -> Run:
    """Pair up a run folder; UserError where it has no before or after, no shared prompts, or two samplers."""
    quality = runs.read_quality(run)
    steps = steps_compared(run, quality)
    sides = tuple(drawn(runs.step_folder(run, step)) for step in steps)
    names = f"step {steps[0]:,}", f"step {steps[1]:,}"
    paired = pair_up(quality.get("name") or run.resolve().name, sides[0], sides[1], names=names, quality=quality)
    if paired.sampler_differs:
        differs = ", ".join(paired.sampler_differs)
        raise UserError(f"{run}: before and after differ in the sampler's {differs}; draw both alike")
    return replace(paired, before_step=steps[0], after_step=steps[1])


def pair_up(
    name: str,
    before: Side,
    after: Side,
    *,
    names: tuple[str, str],
    quality: dict[str, Any],
    by: str = "prompt and seed",
) -> Run:
    """What both sides have a picture of, known `by` their keys; `quality` says who gave the columns of their scores.

    UserError: no pair, or scores of two judges.
    """
    sides = before, after
    both = [key for key in before.rows if key in after.rows]
    shared = [key for key in both if not any(is_black(side.folder / side.rows[key]["file"]) for side in sides)]
    if not shared:
        why = "every pair has a picture that is black all over" if both else f"{names[0]} and {names[1]} share no {by}"
        raise UserError(f"{name}: {why}; draw both from one prompt file")
    for side in sides:
        require_scores(side.folder, side.scores)
    _require_one_judge(before, after)
    pairs = [_pair(place, before, after, key) for place, key in enumerate(shared)]
    rows = [(before.rows[key], after.rows[key]) for key in shared]
    alone = [
        [
            side.folder.name + "/" + file
            for file in (*(side.rows[key]["file"] for key in side.rows.keys() - both), *side.doubtful)
        ]
        for side in sides
    ]
    return _headed(
        Run(
            name=name,
            names=names,
            pairs=pairs,
            alone=sorted(alone[0] + alone[1]),
            black=len(both) - len(shared),
            sampler=_sampler(rows),
            sampler_differs=_differs(rows),
            quality=quality,
        )
    )


def _pair(place: int, before: Side, after: Side, key: Key) -> Pair:
    first, second = before.rows[key], after.rows[key]
    return Pair(
        prompt=first["prompt"] or second["prompt"] or str(key),
        seed=first.get("seed", place),
        group=_group(first),
        before=before.folder / first["file"],
        after=after.folder / second["file"],
        scores={},
        opinions=_paired(before.scores.get(first["file"], {}), after.scores.get(second["file"], {})),
        groups=_groups(first),
    )


def steps_compared(run: Path, quality: Mapping[str, Any]) -> tuple[int, int]:
    """(before, after): the first complete step and the best one, or the last one where none was kept as the best."""
    if not run.is_dir():
        raise UserError(f"{run}: no such run folder; give folders that `emu fit` or `emu sample` made")
    steps = runs.complete_steps(run)
    if len(steps) < 2:
        raise UserError(
            f"{run}: holds {len(steps)} drawn steps, comparing takes two; let `emu fit` reach its first check"
        )
    best = quality.get("best_step")
    last = quality["checks"][-1]["step"] if quality.get("checks") else steps[-1]
    after = last if best is None else best
    if after not in steps[1:]:
        raise UserError(f"{runs.step_folder(run, after)}: not drawn completely, though {runs.QUALITY} names it")
    return steps[0], after


def require_scores(folder: Path, scores: dict[str, dict[str, float]]) -> None:
    """UserError where a score is no number."""
    for file, given in scores.items():
        for criterion, score in given.items():
            if not isinstance(score, int | float) or not math.isfinite(score):
                raise UserError(
                    f"{folder / runs.SCORES}: {criterion} of {file} is {score!r}, no number; remove the file and "
                    "judge again with a judge that gives numbers"
                )


def require_shared(read: "list[Run]") -> None:
    """UserError where two runs of one comparison share no prompt and seed: their rates would be of two questions."""
    for other in read[1:]:
        asked = [{(pair.prompt, pair.seed) for pair in run.pairs} for run in (read[0], other)]
        if not asked[0] & asked[1]:
            raise UserError(
                f"{printable(read[0].name)} and {printable(other.name)} share no prompt and seed; compare runs that "
                "drew one prompt file, or each by itself"
            )


def _require_one_judge(before: Side, after: Side) -> None:
    for criterion in runs.other_judges(before.judges, after.judges):
        raise UserError(
            f"{before.folder.parent}: {criterion} of {before.folder.name} and {after.folder.name} was scored by two "
            f"judges, or two versions of one ({runs.JUDGES}); remove {runs.SCORES} of both and judge again with "
            f"--{criterion}"
        )


def _group(row: runs.Row) -> str | None:
    group = row.get("group")
    return None if group is None else str(group)


def _groups(row: runs.Row) -> dict[str, str]:
    """{"Category": "Animals", "Challenge": "Basic"} of the row's columns, under their own names."""
    found = {name.lower(): name for name in row}
    return {found[name]: str(row[found[name]]) for name in CATEGORIES if row.get(found.get(name, ""))}


def _sampler(rows: list[tuple[runs.Row, runs.Row]]) -> dict[str, Any]:
    """What all pictures were drawn with. A prompt may have settings of its own."""
    every = [row.get("sampler", {}) for pair in rows for row in pair]
    return {key: value for key, value in every[0].items() if all(key in one and one[key] == value for one in every)}


def _differs(rows: list[tuple[runs.Row, runs.Row]]) -> list[str]:
    """The settings in which the two sides of a pair were not drawn alike."""
    found = set()
    for before, after in ([row.get("sampler", {}) for row in pair] for pair in rows):
        found |= {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    return sorted(found)


def _paired(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    return {name: (before[name], after[name]) for name in before if name in after}


def _headed(run: Run) -> Run:
    """Every criterion's `scores` are those of its headline judge."""
    first = {name: next(iter(run.columns(name)), name) for name in CRITERIA}
    pairs = [
        replace(pair, scores={name: pair.opinions[own] for name, own in first.items() if own in pair.opinions})
        for pair in run.pairs
    ]
    return replace(run, pairs=pairs)
