"""The layout of a run folder: the one place that knows its file names (docs/architecture.md, "A run folder").

A step folder counts as complete when it has its `samples.jsonl`, so whoever draws writes that file last.
"""

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from emu.errors import UserError
from emu.storage import files, shapes
from emu.storage.documents import read_mapping
from emu.storage.records import read_json, read_lines
from emu.storage.shapes import Config, Row

SAMPLES = "samples.jsonl"
SCORES = "scores.jsonl"
JUDGES = "judges.json"
QUALITY = "quality.json"
VOTES = "votes.json"
CONFIG = "config.yaml"
DATA = "data.json"
BEST = "best.ckpt"
CHECKPOINTS = "checkpoints"

# What torchrun tells each process, and what holds without it.
PROCESS = {"RANK": 0, "WORLD_SIZE": 1, "LOCAL_RANK": 0}


def step_folder(run: Path, step: int) -> Path:
    """Where the pictures of optimizer step `step` lie: `RUN/step-001500`."""
    return run / f"step-{step:06d}"


def complete_steps(run: Path) -> list[int]:
    """The steps of a run whose pictures are all drawn, in rising order."""
    return sorted(int(done.parent.name.removeprefix("step-")) for done in run.glob(f"step-[0-9]*/{SAMPLES}"))


def checkpoint(run: Path, step: int) -> Path:
    """Where the state after optimizer step `step` lies: `RUN/checkpoints/step-001500.ckpt`."""
    return run / CHECKPOINTS / f"step-{step:06d}.ckpt"


def checkpoints(run: Path) -> list[Path]:
    """The checkpoints that were written to their end, in rising order of steps."""
    found = (path.with_suffix("") for path in (run / CHECKPOINTS).glob("step-[0-9]*.ckpt.json"))
    return sorted(found, key=lambda path: int(path.stem.removeprefix("step-")))  # from a million on no longer by name


def run_of(checkpoint: Path) -> Path:
    """The run folder that a checkpoint belongs to."""
    folder = checkpoint.parent
    return folder.parent if folder.name == CHECKPOINTS else folder


def picture_name(index: int) -> str:
    """The file name of the prompt at line `index` (from 0): `00017.png`."""
    return f"{index:05d}.png"


def save_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write `pixels`, uint8 (h,w,3), as a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    files.write(path, buffer.getvalue())


def write_samples(folder: Path, rows: Iterable[Row]) -> None:
    """Write `samples.jsonl`, which also marks the folder as complete.

    Each row has `file`, `prompt`, `seed`, `index`, `sampler` and whatever other columns the prompt came with.
    """
    files.write_lines(folder / SAMPLES, rows)


def read_samples(folder: Path) -> list[Row]:
    """The rows of `samples.jsonl`; UserError where it is absent, damaged or names a file outside the folder."""
    path = folder / SAMPLES
    if not path.exists():
        raise UserError(f"{path}: no such file; draw the pictures first (`emu fit` or `emu sample`)")
    rows = read_lines(path, shapes.Sample, remedy="draw the folder again with `emu sample`")
    for number, row in enumerate(rows, start=1):
        if Path(row["file"]).name != row["file"] or "\0" in row["file"]:
            raise UserError(f"{path}:{number}: {row['file']!r} is not a file of this folder; use plain file names")
    return rows


def write_scores(folder: Path, scores: dict[str, dict[str, float]]) -> None:
    """Write `scores.jsonl`: file name -> {"appeal": 0.81, "faithfulness": 0.75}."""
    files.write_lines(folder / SCORES, ({"file": file, **values} for file, values in scores.items()))


def read_scores(folder: Path) -> dict[str, dict[str, float]]:
    """File name -> its scores by criterion; empty where the folder was never judged."""
    path = folder / SCORES
    if not path.exists():
        return {}
    rows = read_lines(path, shapes.Scored, remedy="remove it, and judge again")
    return {row.pop("file"): row for row in rows}


def write_judges(folder: Path, cards: Mapping[str, Mapping[str, Any]]) -> None:
    """Write `judges.json`: criterion -> the description of the judge that gave the folder's scores."""
    files.write_json(folder / JUDGES, cards, indent=2)


def read_judges(folder: Path) -> dict[str, shapes.Card]:
    """What `judges.json` says; empty where it is not known who judged."""
    path = folder / JUDGES
    if not path.exists():
        return {}
    cards: dict[str, shapes.Card] = read_json(
        path, dict[str, shapes.Card], remedy=f"remove it and {SCORES}, and judge again"
    )
    return cards


def other_judges(first: Mapping[str, Mapping[str, Any]], second: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The criteria of both that two judges stand for, or two versions of one: their descriptions differ.

    Libraries change under a judge; the same weights, prepared and read in the same way, are the same judge. Earlier
    runs say nothing of a judge's code.
    """
    return sorted(name for name in first.keys() & second.keys() if not _one_judge(first[name], second[name]))


def _one_judge(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    both = first.keys() & second.keys()
    left_out = {"versions"} if "code" in both else {"versions", "code"}
    cards = [{key: value for key, value in card.items() if key not in left_out} for card in (first, second)]
    return cards[0] == cards[1]


def read_config(run: Path) -> Config | None:
    """What `config.yaml` says, as `emu fit` wrote it; None where there is none. UserError: no mapping in it."""
    path = run / CONFIG
    return read_mapping(path, keys=("model", "data")) if path.is_file() else None
