"""Looks at both sides of a run, once: every picture is decoded here for all guards together."""

from collections.abc import Callable
from dataclasses import dataclass
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
    from emu.judges.embedding import Embedder


@dataclass(frozen=True)
class Eye:
    """What turns a picture into numbers whose distances the guards read, and how reports call it."""

    name: str
    see: Callable[[Image.Image], Numbers]


LAYOUTS = Eye(LAYOUT, layout)


def embeddings(embedder: "Embedder") -> Eye:
    """The eye of CLIP or SigLIP: it knows what a picture shows, at the cost of a pass through the model each."""
    import torch

    def see(picture: Image.Image) -> Numbers:
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255
        return embedder.image(pixels).numpy()

    return Eye(f"embeddings of {embedder.describe().get('model', type(embedder).__name__)}", see)


def evidence(run: Run, *, eye: Eye, training: Training | str) -> Evidence:
    """What the guards see of a run; `training` is the curated set, or why it is not at hand."""
    before, after = (_side(run, side, eye) for side in (0, 1))
    return Evidence(
        prompts=[pair.prompt for pair in run.pairs],
        before=before,
        after=after,
        groups=[pair.groups for pair in run.pairs],
        ties={name: judge_of(run, name)["tie"] for name in run.criteria},
        training=None if isinstance(training, str) else training,
        without_training=training if isinstance(training, str) else "",
        features=eye.name,
    )


def _side(run: Run, side: int, eye: Eye) -> Side:
    files = [(pair.before, pair.after)[side] for pair in run.pairs]
    found = [_look(file, eye) for file in files]
    scores = {name: [pair.scores[name][side] for pair in run.pairs] for name in run.criteria}
    return Side(np.stack([colour for colour, _ in found]), np.stack([seen for _, seen in found]), scores, files=files)


def _look(path: Path, eye: Eye) -> tuple[Numbers, Numbers]:
    picture = open_picture(path)
    return colours(np.asarray(picture)), eye.see(picture)
