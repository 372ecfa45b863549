"""The pictures of one check on their way to the run folder: written, judged, gathered from all ranks.

The judges see the 8-bit pixels of the files, so a verdict made later from the folder alone is the same.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from emu.batch import Pictures, Prompts, Sampler
from emu.data.prompts import sample_row
from emu.drawn import black, to_pixels
from emu.guards.looks import colours, layout
from emu.judges import Judge, judge_pixels
from emu.layouts import runs
from emu.storage.shapes import Row

Scores = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Drawn:
    """All of a check, in the order of the prompts: one row and one set of scores a picture.

    Args:
        held_out: (time, loss) of every held-out picture, in the order of times.
        black: files of pictures that are black all over, which count in no verdict (`emu.drawn`).
        colours: float32 (n,3), the look of all pictures as the guards have it.
        layouts: float32 (n,d); None where no prompt is drawn from two seeds, and so no two pictures are compared.
    """

    rows: list[Row]
    scores: Scores
    held_out: list[tuple[float, float]]
    black: list[str]
    colours: Tensor
    layouts: Tensor | None

    @property
    def held_out_loss(self) -> float | None:
        """The mean over the held-out pictures; None where there are none."""
        return fmean(loss for _, loss in self.held_out) if self.held_out else None

    @property
    def digest(self) -> str:
        """A short name of what was asked for: checks pair up when files, prompts, seeds and sampler are the same."""
        asked = [(row["file"], row["prompt"], row["seed"], row["sampler"]) for row in self.rows]
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


class Share(NamedTuple):
    """What one rank has drawn; of each picture its colours and its layout."""

    rows: list[Row]
    scores: Scores
    looks: dict[str, tuple[Tensor, Tensor]]
    held_out: list[tuple[float, float]]
    black: list[str]


class Drawing:
    """Collects what one rank draws of a check into `folder`.

    Args:
        folder: the step's folder, the same on every rank.
        judges: criterion ("appeal", "faithfulness") -> judge.
        sampler: the settings that the pictures are drawn with, kept in every row, where a batch has none of its own.
    """

    def __init__(self, folder: Path, *, judges: Mapping[str, Judge], sampler: Sampler) -> None:
        self.folder = folder
        self.judges = judges
        self.sampler = dict(sampler)
        self.share = Share([], {}, {}, [], [])

    def add(self, images: Tensor, batch: Prompts, sampler: Sampler | None = None) -> None:
        """Write and judge a batch: images float (b,3,h,w) in [0,1]; batch with `prompt`, `seed` and `index` of b.

        `columns`, list[dict], of the prompt file go along, and `negative`, list[str], into the settings. Pictures of
        index -1 are fillers of a rank's last batch and are left out.
        """
        kept = [i for i, index in enumerate(batch["index"].tolist()) if index >= 0]
        if not kept:
            return
        pixels = to_pixels(images[kept], [batch["prompt"][i] for i in kept])
        rows = [sample_row(batch, i, sampler=sampler or self.sampler) for i in kept]
        for row, picture in zip(rows, pixels.permute(0, 2, 3, 1).cpu().numpy(), strict=True):
            runs.save_picture(self.folder / row["file"], picture)
            look = colours(picture), layout(Image.fromarray(picture))
            self.share.looks[row["file"]] = torch.from_numpy(look[0]), torch.from_numpy(look[1])
        self.share.rows.extend(rows)
        self.share.black.extend(row["file"] for row, dark in zip(rows, black(pixels), strict=True) if dark)
        files = [self.folder / row["file"] for row in rows]
        scores = judge_pixels(pixels, [row["prompt"] for row in rows], judges=self.judges, names=files)
        self.share.scores.update({row["file"]: score for row, score in zip(rows, scores, strict=True)})

    def hold_out(self, losses: Tensor, batch: Pictures) -> None:
        """Keep the losses, float (b,), of held-out pictures with their `time`; those of `weight` 0 are fillers."""
        real = batch["weight"] > 0
        self.share.held_out.extend(zip(batch["time"][real].tolist(), losses[real].tolist(), strict=True))

    def finish(self) -> Drawn:
        """What all ranks drew, the same on every rank; a collective call, so made on all of them."""
        shares = [self.share]
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            shares *= torch.distributed.get_world_size()
            torch.distributed.all_gather_object(shares, self.share)
        rows = sorted((row for share in shares for row in share.rows), key=lambda row: int(row["index"]))
        scores = {file: score for share in shares for file, score in share.scores.items()}
        looks = {file: look for share in shares for file, look in share.looks.items()}
        seen = [looks[row["file"]] for row in rows]
        repeated = len({row["prompt"] for row in rows}) < len(rows)
        return Drawn(
            rows=rows,
            scores={row["file"]: scores[row["file"]] for row in rows},
            held_out=sorted(pair for share in shares for pair in share.held_out),
            black=sorted(file for share in shares for file in share.black),
            colours=torch.stack([colour for colour, _ in seen]) if seen else torch.zeros(0, 3),
            layouts=torch.stack([layout for _, layout in seen]) if repeated else None,
        )
