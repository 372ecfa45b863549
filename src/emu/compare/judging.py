"""Judges a run's pictures where they have no scores yet: the only part of comparing that needs torch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from emu.compare.columns import column_of
from emu.compare.pictures import open_picture
from emu.compare.score_cache import ScoreCache, score_key
from emu.compare.sides import PictureFolder, Shown, drawn, steps_compared
from emu.errors import UserError, first_line
from emu.judges import Judge, judge_card, judge_pixels
from emu.layouts import runs
from emu.layouts.quality_json import Quality, read_quality, write_quality
from emu.storage.records import build
from emu.storage.shapes import Card

Pixels = NDArray[np.uint8]
BATCH = 16  # pictures in memory at once
Seats = dict[str, tuple[Judge, Card]]  # column -> who fills it


@dataclass(frozen=True)
class Bench:
    """Where judges sit: the device that they compute on, and the scores that they gave before."""

    device: str = "cpu"
    cache: ScoreCache | None = None


def judge_run(run: Path, *, judges: Mapping[str, Sequence[Judge]], bench: Bench | None = None) -> None:
    """Score the two compared steps by each judge of "appeal" and "faithfulness" that has not scored all of them.

    The scores go to `scores.jsonl`, who judged to `quality.json` and `judges.json`; these are written first, so that no
    score is ever without its judge. The rest as `judge_sides` has it.
    """
    quality = read_quality(run)
    sides = [drawn(runs.step_folder(run, step)) for step in steps_compared(run, quality)]
    quality, seats = seat(quality, sides, judges)
    write_quality(run, replace(quality, name=quality.name or run.resolve().name))
    for side in sides if seats else []:
        held = set().union(*map(side.scores_of, side.shown))
        kept = {column: card for column, card in side.judges.items() if column in held}
        runs.write_judges(side.folder, kept | {column: card for column, (_, card) in seats.items()})
        runs.write_scores(side.folder, _scores(side, seats, bench or Bench()))


def judge_sides(
    quality: Quality,
    sides: tuple[PictureFolder, PictureFolder],
    *,
    judges: Mapping[str, Sequence[Judge]],
    bench: Bench | None = None,
) -> tuple[Quality, tuple[PictureFolder, PictureFolder]]:
    """Who judged, and the sides with the scores of each judge, in memory alone.

    The first judge of a criterion is the headline from now on. Raises UserError for a score that is no number, naming
    picture and judge.
    """
    quality, seats = seat(quality, sides, judges)
    before, after = (replace(side, scores=_scores(side, seats, bench or Bench())) for side in sides)
    return quality, (before, after)


def seat(
    quality: Quality, sides: Sequence[PictureFolder], judges: Mapping[str, Sequence[Judge]]
) -> tuple[Quality, Seats]:
    """`quality` with who judges and who is the headline, and who has still to judge, by column."""
    begun, complete = _columns(sides)
    seats: Seats = {}
    for criterion, given in judges.items():
        for judge in given:
            card = kept = judge_card(judge)
            column = column_of(card, criterion, quality, begun=begun, complete=complete)
            if judge is given[0]:
                quality = replace(quality, headline=quality.headline | {criterion: column})
            if column in complete:  # a card kept by an earlier emu may tell less; what ran then, nobody knows now
                of_now = {key: value for key, value in card.items() if key != "versions"}
                kept = build({**of_now, **quality.judges[column]}, Card)
            else:
                seats[column] = judge, card
            quality = replace(quality, judges=quality.judges | {column: kept})
    return quality, seats


def usable_device(name: str | None) -> str:
    """The device of a `--device` flag; without one a GPU where there is one. UserError for one that is not here."""
    chosen = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:  # torch asserts where it was built without the device
        raise UserError(f"--device {chosen}: {first_line(error)}; name cpu, cuda or cuda:0") from error
    return chosen


def _columns(sides: Sequence[PictureFolder]) -> tuple[set[str], set[str]]:
    """The columns that hold a score of any picture of the sides, and those that hold one of every picture that they can
    judge.
    """
    held = [(side, key, side.scores_of(key)) for side in sides for key in side.shown]
    begun = {column for _, _, scores in held for column in scores}
    lacking = {
        column
        for column in begun
        if any(column not in scores and side.judged_by(column, key) for side, key, scores in held)
    }
    return begun, begun - lacking


def _scores(side: PictureFolder, seats: Seats, bench: Bench) -> dict[str, dict[str, float]]:
    """All scores of a folder, those of these judges anew or out of the cache."""
    scores, keys = dict(side.scores), list(side.shown)
    for start in range(0, len(keys), BATCH):
        batch = keys[start : start + BATCH]
        pixels = {key: np.array(open_picture(side.path(key))) for key in batch}
        for column, taken in seats.items():
            some = [key for key in batch if side.judged_by(column, key)]
            shown = [side.shown[key] for key in some]
            found = _scores_of([pixels[key] for key in some], shown, taken, folder=side.folder, bench=bench)
            for one, score in zip(shown, found, strict=True):
                scores[one.file] = {**scores.get(one.file, {}), column: score}
    return scores


def _scores_of(
    pixels: list[Pixels], shown: list[Shown], seat: tuple[Judge, Card], *, folder: Path, bench: Bench
) -> list[float]:
    """A judge's scores of a batch, uint8 (h,w,3) each, of any sizes: it sees only what the cache does not know."""
    judge, card = seat
    cache, keys = bench.cache, [score_key(each, one.prompt, card) for each, one in zip(pixels, shown, strict=True)]
    found = {i: kept for i, key in enumerate(keys) if cache and (kept := cache.get(key)) is not None}
    for alike in _of_one_size(pixels, [i for i in range(len(shown)) if i not in found]):
        images = torch.from_numpy(np.stack([pixels[i] for i in alike])).permute(0, 3, 1, 2).to(bench.device)
        prompts, names = [shown[i].prompt for i in alike], [folder / shown[i].file for i in alike]
        scores = judge_pixels(images, prompts, judges={"score": judge}, names=names)
        found |= {i: each["score"] for i, each in zip(alike, scores, strict=True)}
        if cache:
            cache.put((keys[i], found[i]) for i in alike)
    return [found[i] for i in range(len(shown))]


def _of_one_size(pixels: list[Pixels], indices: list[int]) -> Iterator[list[int]]:
    groups: dict[tuple[int, ...], list[int]] = {}
    for i in indices:
        groups.setdefault(pixels[i].shape, []).append(i)
    yield from groups.values()
