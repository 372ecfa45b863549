"""Looks at both sides of a run, once: every picture is decoded here for all guards together."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from emu.compare.pairs import Run
from emu.compare.pictures import open_picture
from emu.compare.verdict import judge_of
from emu.guards import Evidence, Side, Training
from emu.guards.evidence import Numbers
from emu.guards.looks import LAYOUT, colours, layout

if TYPE_CHECKING:
    from emu.judges import Embedder


def see(picture: Image.Image, embedder: "Embedder | None") -> Numbers:
    """(d,), whose distances the guards read: an embedder's vector, or without one where light and dark lie."""
    return layout(picture) if embedder is None else embedder.see(picture)


def evidence(run: Run, *, embedder: "Embedder | None", training: Training | str) -> Evidence:
    """What the guards see of a run; `training` is the curated set, or why it is not at hand."""
    before, after = (_side(run, side, embedder) for side in (0, 1))
    return Evidence(
        prompts=[pair.prompt for pair in run.pairs],
        before=before,
        after=after,
        groups=[pair.groups for pair in run.pairs],
        ties={name: judge_of(run, name)["tie"] for name in run.criteria},
        training=None if isinstance(training, str) else training,
        without_training=training if isinstance(training, str) else "",
        features=LAYOUT if embedder is None else embedder.name,
    )


def _side(run: Run, side: int, embedder: "Embedder | None") -> Side:
    files = [(pair.before, pair.after)[side] for pair in run.pairs]
    found = [_look(file, embedder) for file in files]
    scores = {name: [pair.scores[name][side] for pair in run.pairs] for name in run.criteria}
    return Side(np.stack([colour for colour, _ in found]), np.stack([seen for _, seen in found]), scores, files=files)


def _look(path: Path, embedder: "Embedder | None") -> tuple[Numbers, Numbers]:
    picture = open_picture(path)
    return colours(np.asarray(picture)), see(picture, embedder)
