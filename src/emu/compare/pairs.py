"""Pairs: the same prompt and seed, drawn before and after. Reads a run folder and nothing else."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from emu import runs
from emu.compare.columns import columns
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
    """A run folder as compared: step 0 against the best step (the last one where none was kept as the best).

    Args:
        unpaired: pictures on either side whose prompt and seed the other side lacks.
        black: pairs left out because a picture is black all over (`emu.drawn`).
        sampler: the settings that all pictures were drawn with; those of single prompts are not among them.
        quality: what `quality.json` says; empty for folders drawn without tuning.
    """

    name: str
    before_step: int
    after_step: int
    pairs: list[Pair]
    unpaired: int
    black: int
    sampler: dict[str, Any]
    quality: dict[str, Any]

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
    before_step, after_step = steps_compared(run, quality)
    before = _by_prompt(runs.step_folder(run, before_step))
    after = _by_prompt(runs.step_folder(run, after_step))
    folders = [runs.step_folder(run, step) for step in (before_step, after_step)]
    both = [key for key in before if key in after]
    sides = list(zip(folders, (before, after), strict=True))
    shared = [key for key in both if not any(is_black(folder / rows[key]["file"]) for folder, rows in sides)]
    if both and not shared:
        raise UserError(f"{run}: every pair has a picture that is black all over; draw them again")
    if not shared:
        raise UserError(
            f"{run}: steps {before_step} and {after_step} share no prompt and seed; draw both from one file"
        )
    sampler = _sampler(run, [(before[key], after[key]) for key in shared])
    scores = [runs.read_scores(folder) for folder in folders]
    require_scores(folders, scores)
    pairs = [
        Pair(
            prompt=key[0],
            seed=key[1],
            group=_group(before[key]),
            before=folders[0] / before[key]["file"],
            after=folders[1] / after[key]["file"],
            scores={},
            opinions=_paired(scores[0].get(before[key]["file"], {}), scores[1].get(after[key]["file"], {})),
            groups=_groups(before[key]),
        )
        for key in shared
    ]
    unpaired = len(before) + len(after) - 2 * len(both)
    name = quality.get("name") or run.resolve().name
    return _headed(Run(name, before_step, after_step, pairs, unpaired, len(both) - len(shared), sampler, quality))


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


def require_scores(folders: list[Path], scores: list[dict[str, dict[str, float]]]) -> None:
    """UserError where a score is no number, or where two judges, or versions of one, scored the two sides."""
    for folder, by_file in zip(folders, scores, strict=True):
        for file, given in by_file.items():
            for criterion, score in given.items():
                if not isinstance(score, int | float) or not math.isfinite(score):
                    raise UserError(
                        f"{folder / runs.SCORES}: {criterion} of {file} is {score!r}, no number; remove the file and "
                        "judge again with a judge that gives numbers"
                    )
    for criterion in runs.other_judges(*(runs.read_judges(folder) for folder in (folders[0], folders[-1]))):
        raise UserError(
            f"{folders[0].parent}: {criterion} of {folders[0].name} and {folders[1].name} was scored by two judges, or "
            f"two versions of one ({runs.JUDGES}); remove {runs.SCORES} of both and judge again with --{criterion}"
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


def _by_prompt(folder: Path) -> dict[tuple[str, int], runs.Row]:
    return {(row["prompt"], row["seed"]): row for row in runs.read_samples(folder)}


def _group(row: runs.Row) -> str | None:
    group = row.get("group")
    return None if group is None else str(group)


def _groups(row: runs.Row) -> dict[str, str]:
    """{"Category": "Animals", "Challenge": "Basic"} of the row's columns, under their own names."""
    found = {name.lower(): name for name in row}
    return {found[name]: str(row[found[name]]) for name in CATEGORIES if row.get(found.get(name, ""))}


def _sampler(run: Path, pairs: list[tuple[runs.Row, runs.Row]]) -> dict[str, Any]:
    """What all pictures were drawn with. A prompt may have settings of its own, the same before and after."""
    shared: dict[str, Any] = pairs[0][0].get("sampler", {})
    for one, other in ([row.get("sampler", {}) for row in pair] for pair in pairs):
        if one != other:
            keys = sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
            raise UserError(f"{run}: before and after differ in the sampler's {', '.join(keys)}; draw both alike")
        shared = {key: value for key, value in shared.items() if key in one and one[key] == value}
    return shared


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
