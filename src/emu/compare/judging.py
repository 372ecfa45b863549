"""Judges a run's pictures where they have no scores yet: the only part of comparing that needs torch."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from emu import runs
from emu.compare.pairs import steps_compared
from emu.compare.pictures import open_picture
from emu.judges import Judge, judge_card, judge_pixels


def judge_run(run: Path, *, judges: Mapping[str, Judge]) -> None:
    """Score the two compared steps by each judge ("appeal", "faithfulness") that has not scored all of their pictures.

    The scores go to `scores.jsonl`, who judged to `quality.json`.
    """
    quality = runs.read_quality(run)
    folders = [runs.step_folder(run, step) for step in steps_compared(run, quality)]
    unscored = {name: judge for name, judge in judges.items() if not all(_scored(folder, name) for folder in folders)}
    for folder in folders:
        scores = runs.read_scores(folder)
        for row in runs.read_samples(folder):
            scores[row["file"]] = scores.get(row["file"], {}) | _score(folder / row["file"], row["prompt"], unscored)
        runs.write_scores(folder, scores)
    cards = quality.get("judges", {}) | {name: judge_card(judge) for name, judge in unscored.items()}
    runs.write_quality(run, {"name": run.resolve().name, **quality, "judges": cards})


def _scored(folder: Path, criterion: str) -> bool:
    scores = runs.read_scores(folder)
    return all(criterion in scores.get(row["file"], {}) for row in runs.read_samples(folder))


def _score(path: Path, prompt: str, judges: Mapping[str, Judge]) -> dict[str, float]:
    pixels = torch.from_numpy(np.array(open_picture(path))).permute(2, 0, 1)[None]
    return judge_pixels(pixels, [prompt], judges=judges)[0]
