"""Pairs: pictures of the same prompt and seed, or of one file name, before and after."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emu.compare.columns import columns, criterion_of
from emu.compare.sides import Key, PictureFolder, require_scores
from emu.compare.verdict import CRITERIA
from emu.drawn import is_black
from emu.errors import UserError
from emu.layouts import runs
from emu.layouts.quality_json import Quality

CATEGORIES = ("group", "category", "challenge")  # columns of a prompt file, in any case; the latter two of PartiPrompts
Scores = dict[str, tuple[float, float]]  # of before and after


@dataclass(frozen=True)
class Pair:
    """Two pictures of one prompt and seed.

    Args:
        prompt: the name of its files where nobody knows what they were to show.
        seed: the pair's place in the list where no seeds are known.
        scores: by criterion, of the headline judge; `opinions`: by column, of every judge.
        asked: whether it is known what they were to show; else they are judged by appeal alone.
        columns: what else the prompt file says of the prompt.
    """

    prompt: str
    seed: int
    before: Path
    after: Path
    scores: Scores
    opinions: Scores
    columns: Mapping[str, str]
    asked: bool = True

    def judged_by(self, criterion: str) -> bool:
        """Whether it can be judged by a criterion."""
        return self.asked or criterion != "faithfulness"

    @property
    def key(self) -> tuple[str, int]:
        """Known by it in every run that drew the same prompt file."""
        return self.prompt, self.seed

    @property
    def groups(self) -> dict[str, str]:
        """{"Category": "Animals", "Challenge": "Basic"}: the columns that name categories, under their own names."""
        found = {name.lower(): name for name in self.columns}
        return {found[name]: self.columns[found[name]] for name in CATEGORIES if self.columns.get(found.get(name, ""))}


@dataclass(frozen=True)
class Pairing:
    """What is compared: a run's step 0 with its best step (the last one where none was kept as the best), or folders.

    Args:
        folder: the run's, or that of the pictures after.
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
    folder: Path
    names: tuple[str, str]
    pairs: list[Pair]
    alone: list[str]
    black: int
    sampler: dict[str, Any]
    sampler_differs: list[str]
    quality: Quality
    before_step: int | None = None
    after_step: int | None = None
    by_name: bool = False
    notes: tuple[str, ...] = ()

    @property
    def prompts(self) -> list[str]:
        """Of each pair."""
        return [pair.prompt for pair in self.pairs]

    @property
    def criteria(self) -> list[str]:
        """The criteria that every picture was judged by, but for what cannot be judged by them."""
        return [name for name in CRITERIA if (own := self.judged(name)) and all(name in pair.scores for pair in own)]

    def judged(self, criterion: str) -> list[Pair]:
        """The pairs that can be judged by a criterion."""
        return [pair for pair in self.pairs if pair.judged_by(criterion)]

    def columns(self, criterion: str) -> list[str]:
        """The columns of scores that judge a criterion and are there for every pair that can be judged by it, the
        headline's first.
        """
        return _columns(self.quality, criterion, [pair.opinions for pair in self.judged(criterion)])

    def opinions(self, column: str) -> tuple[list[float], list[float], list[str]]:
        """The scores before and after of all pairs that the criterion of a column judges, and their prompts."""
        pairs = self.judged(criterion_of(column))
        before, after = zip(*(pair.opinions[column] for pair in pairs), strict=True)
        return list(before), list(after), [pair.prompt for pair in pairs]


def pair_up(
    name: str,
    before: PictureFolder,
    after: PictureFolder,
    *,
    names: tuple[str, str],
    quality: Quality,
    by: str = "prompt and seed",
) -> Pairing:
    """What both sides have a picture of, known `by` their keys; `quality` says who gave the columns of their scores.

    UserError: no pair, or scores of two judges.
    """
    both = {key: None for key in before.shown if key in after.shown}  # in order, and looked up in no time
    shared = [key for key in both if not any(is_black(side.path(key)) for side in (before, after))]
    if not shared:
        black = "every pair has a picture that is black all over; draw them again"
        raise UserError(f"{name}: {black if both else f'{names[0]} and {names[1]} {_apart(before, after, by=by)}'}")
    for side in (before, after):
        require_scores(side.folder, side.scores)
    _require_one_judge(before, after)
    samplers = [(before.shown[key].sampler, after.shown[key].sampler) for key in shared]
    return Pairing(
        name=name,
        folder=after.folder,
        names=names,
        pairs=_pairs(before, after, shared, quality),
        alone=sorted(_alone(before, both) + _alone(after, both)),
        black=len(both) - len(shared),
        sampler=_in_common([one for pair in samplers for one in pair]),
        sampler_differs=sorted({name for pair in samplers for name in _differing(*pair)}),
        quality=quality,
    )


def _apart(before: PictureFolder, after: PictureFolder, *, by: str) -> str:
    """Why no two pictures are a pair, and what to do."""
    if by == "file name":
        return "share no file name; give two pictures of one prompt one name"
    prompts, others = ({shown.prompt for shown in side.shown.values()} for side in (before, after))
    if prompts & others:
        return "share prompts, and no seed of one; draw both with one --seed"
    return f"share no {by}; draw both from one prompt file"


def _pairs(before: PictureFolder, after: PictureFolder, keys: Sequence[Key], quality: Quality) -> list[Pair]:
    found = []
    for key in keys:
        was, now = before.scores_of(key), after.scores_of(key)
        both = [name for name in was if name in now and before.judged_by(name, key) and after.judged_by(name, key)]
        found.append({name: (was[name], now[name]) for name in both})
    asked = [all(side.judged_by("faithfulness", key) for side in (before, after)) for key in keys]
    known = {"appeal": found, "faithfulness": [one for one, is_known in zip(found, asked, strict=True) if is_known]}
    heads = {name: next(iter(_columns(quality, name, known[name])), name) for name in CRITERIA}
    pairs = []
    for place, (key, opinions) in enumerate(zip(keys, found, strict=True)):
        first, second = before.shown[key], after.shown[key]
        pairs.append(
            Pair(
                prompt=first.prompt or second.prompt or (key if isinstance(key, str) else ""),
                seed=place if first.seed is None else first.seed,
                before=before.path(key),
                after=after.path(key),
                scores={name: opinions[head] for name, head in heads.items() if head in opinions},
                opinions=opinions,
                columns=first.columns,
                asked=asked[place],
            )
        )
    return pairs


def _columns(quality: Quality, criterion: str, opinions: Sequence[Scores]) -> list[str]:
    return [name for name in columns(quality, criterion) if all(name in one for one in opinions)]


def _alone(side: PictureFolder, both: Collection[Key]) -> list[str]:
    files = [one.file for key, one in side.shown.items() if key not in both]
    return [f"{side.folder.name}/{file}" for file in (*files, *side.doubtful)]


def _require_one_judge(before: PictureFolder, after: PictureFolder) -> None:
    for criterion in runs.other_judges(before.judges, after.judges):
        raise UserError(
            f"{before.folder.parent}: {criterion} of {before.folder.name} and {after.folder.name} was scored by two "
            f"judges, or two versions of one ({runs.JUDGES}); remove {runs.SCORES} of both and judge again with "
            f"--{criterion}"
        )


def _in_common(settings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What all pictures were drawn with. A prompt may have settings of its own."""
    return {
        name: value
        for name, value in settings[0].items()
        if all(name in one and one[name] == value for one in settings)
    }


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)]
