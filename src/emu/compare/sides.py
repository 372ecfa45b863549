"""One side of a comparison: a folder of pictures with what is known of each.

The folder of a step, or one that `emu sample` drew, says it in `samples.jsonl`. A plain folder of pictures is known by
its file names; prompts are whatever a reader of sets finds in it or beside the pictures.
"""

import math
import unicodedata
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emu.compare.columns import criterion_of
from emu.errors import UserError
from emu.layouts import runs
from emu.layouts.quality_json import Quality
from emu.storage.shapes import Card

Key = Hashable  # (prompt, seed), or a file's name without its ending
OWN = ("file", "prompt", "seed", "index", "sampler")  # what emu writes into a line of samples.jsonl


@dataclass(frozen=True)
class Shown:
    """A picture of a side.

    Args:
        prompt: what it was to show; "" where nobody knows.
        seed: None where nobody knows.
        sampler: the settings that it was drawn with.
        columns: what else the prompt file says of its prompt.
    """

    file: str
    prompt: str
    seed: int | None = None
    sampler: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Shown":
        """The picture of a line of `samples.jsonl`."""
        columns = {name: str(value) for name, value in row.items() if name not in OWN and value is not None}
        return cls(row["file"], row["prompt"], row["seed"], row.get("sampler", {}), columns)


@dataclass(frozen=True)
class PictureFolder:
    """What pairs are made of.

    Args:
        folder: where the pictures lie.
        shown: key -> the picture of that key.
        scores: file -> column -> score.
        judges: column -> card of the judge that gave it.
        doubtful: files that no key tells apart, so that they have no partner.
        unasked: files of which nobody knows what they were to show, so that no judge of faithfulness has a say.
    """

    folder: Path
    shown: dict[Key, Shown]
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    judges: dict[str, Card] = field(default_factory=dict)
    doubtful: list[str] = field(default_factory=list)
    unasked: frozenset[str] = frozenset()

    def judged_by(self, column: str, key: Key) -> bool:
        """Whether a picture can be judged by the judge of a column."""
        return criterion_of(column) != "faithfulness" or self.shown[key].file not in self.unasked

    def scores_of(self, key: Key) -> dict[str, float]:
        """Column -> score of a picture."""
        return self.scores.get(self.shown[key].file, {})

    def path(self, key: Key) -> Path:
        """The picture's file."""
        return self.folder / self.shown[key].file


def steps_compared(run: Path, quality: Quality) -> tuple[int, int]:
    """(before, after): the first complete step and the best one, or the last one where none was kept as the best."""
    if not run.is_dir():
        raise UserError(f"{run}: no such run folder; give folders that `emu fit` or `emu sample` made")
    steps = runs.complete_steps(run)
    if len(steps) < 2:
        raise UserError(
            f"{run}: holds {len(steps)} drawn steps, comparing takes two; let `emu fit` reach its first check"
        )
    best = quality.best_step
    last = quality.checks[-1].step if quality.checks else steps[-1]
    after = last if best is None else best
    if after not in steps[1:]:
        raise UserError(f"{runs.step_folder(run, after)}: not drawn completely, though {runs.QUALITY} names it")
    return steps[0], after


def drawn(folder: Path) -> PictureFolder:
    """A folder with its `samples.jsonl`, known by prompt and seed."""
    shown = map(Shown.of, runs.read_samples(folder))
    return _side(folder, [((one.prompt, one.seed), one) for one in shown])


def named(folder: Path) -> PictureFolder:
    """A folder of pictures, known by file name: `a/0.png` of one is `a/0.jpg` of another.

    A name with accents is one name, whether its maker's system writes them apart, as a Mac's does, or not.
    """
    from emu.data.sources.kinds import pictures_below

    pictures = pictures_below(folder)
    if not pictures:
        raise UserError(f"{folder}: holds neither pictures nor a run; give run folders, or two folders of pictures")
    rows = runs.read_samples(folder) if (folder / runs.SAMPLES).is_file() else []
    known, captions = {row["file"]: Shown.of(row) for row in rows}, _captions(folder)
    return _side(
        folder,
        [
            (
                unicodedata.normalize("NFC", str(Path(file).with_suffix(""))),
                known.get(file) or Shown(file, captions.get(file, "")),
            )
            for file in pictures
        ],
    )


def _captions(folder: Path) -> dict[str, str]:
    """File -> prompt, of those pictures of a plain folder that have one: in a metadata file or a text beside them."""
    from emu.data.sources import Entry, read_source

    try:
        return {item.name: item.text for item in read_source(str(folder)) if isinstance(item, Entry)}
    except UserError:  # a folder without any caption is no set, and may be compared
        return {}


def _side(folder: Path, keyed: Iterable[tuple[Key, Shown]]) -> PictureFolder:
    found: dict[Key, list[Shown]] = {}
    for key, one in keyed:
        found.setdefault(key, []).append(one)
    return PictureFolder(
        folder,
        shown={key: same[0] for key, same in found.items() if len(same) == 1},
        scores=runs.read_scores(folder),
        judges=runs.read_judges(folder),
        doubtful=[one.file for same in found.values() if len(same) > 1 for one in same],
    )


def require_scores(folder: Path, scores: Mapping[str, Mapping[str, float]]) -> None:
    """UserError where a score is no number."""
    for file, given in scores.items():
        for criterion, score in given.items():
            if not isinstance(score, int | float) or not math.isfinite(score):
                raise UserError(
                    f"{folder / runs.SCORES}: {criterion} of {file} is {score!r}, no number; remove the file and "
                    "judge again with a judge that gives numbers"
                )
