"""The emoji sets as the other scripts take them: squares of 64 px on white in a folder, and in memory."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from images import to_tensor
from PIL import Image, ImageOps
from subjects import GRID
from torch import Tensor

from emu.data.pictures import decode
from emu.data.sources import Fault, read_source
from emu.errors import UserError

SIDE = 64
POOL, NEEDLES, PROMPTS = "emoji-pool.tar", "emoji-needles.tar", "emoji-heldout-captions.json"
MAX_PIXELS = 1_000_000
NEARLY_WHITE = 240  # the least of three channels, of 255


@dataclass(frozen=True)
class Pictures:
    """Captioned pictures: uint8 (n,64,64,3), and of each its caption and its source (noto, openclipart, fluent-3d)."""

    images: np.ndarray
    captions: list[str]
    sources: list[str]

    def __add__(self, other: "Pictures") -> "Pictures":
        images = np.concatenate([self.images, other.images])
        return Pictures(images, self.captions + other.captions, self.sources + other.sources)

    def where(self, kept: list[bool]) -> "Pictures":
        """Those of which `kept` is true."""
        rows = [i for i, keep in enumerate(kept) if keep]
        return Pictures(self.images[rows], [self.captions[i] for i in rows], [self.sources[i] for i in rows])

    def tensor(self) -> Tensor:
        """float (n,3,64,64) in [0,1]"""
        return to_tensor(self.images) / 2 + 0.5


def lay_out(data: Path, work: Path, *, every: int) -> None:
    """DATA's tars -> WORK/pool, WORK/needles and WORK/prompts.jsonl; of the pictures every `every`-th."""
    for name in (POOL, NEEDLES, PROMPTS):
        if not (data / name).is_file():
            raise UserError(f"--data {data}: no {name} there; name the folder that has the emoji sets")
    _unpack(data / POOL, work / "pool", every=every)
    _unpack(data / NEEDLES, work / "needles", every=every)
    prompts = json.loads((data / PROMPTS).read_text())
    (work / "prompts.jsonl").write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts))


def _unpack(tar: Path, folder: Path, *, every: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for entry in list(read_source(str(tar), image_column="image", text_column="caption"))[::every]:
        if isinstance(entry, Fault):
            print(f"{tar.name}: {entry.message}; left out", flush=True)
            continue
        # The whole picture, not its centre: an emoji is recognised by its outline.
        picture = ImageOps.pad(
            decode(entry.open, max_pixels=MAX_PIXELS), (SIDE, SIDE), Image.Resampling.LANCZOS, color="white"
        )
        name = f"{len(rows):05d}.png"
        picture.save(folder / name)
        rows.append({"file_name": name, "text": entry.text, "source": entry.columns["source"]})
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def read(folder: Path) -> Pictures:
    """What `lay_out` wrote; UserError where it did not."""
    if not (folder / "metadata.jsonl").is_file():
        raise UserError(f"{folder}: nothing laid out there yet; run the stage `data` first")
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    images = np.stack([np.asarray(Image.open(folder / row["file_name"])) for row in rows])
    return Pictures(images, [row["text"] for row in rows], [row["source"] for row in rows])


def where_shown(images: np.ndarray) -> np.ndarray:
    """bool (n,GRID,GRID) of uint8 (n,h,w,3): the cells that are not white all over."""
    side = images.shape[1] // GRID
    ink = images.min(3) < NEARLY_WHITE
    return ink.reshape(len(images), GRID, side, GRID, side).any((2, 4))


def read_prompts(work: Path) -> list[str]:
    """The captions whose fine render is in no set."""
    return [json.loads(line)["prompt"] for line in (work / "prompts.jsonl").read_text().splitlines()]


def shuffled(count: int, size: int) -> list[Tensor]:
    """The rows 0 to `count` in random order, `size` at a time, the last ones too few for a batch left out."""
    return list(torch.randperm(count)[: max(size, count // size * size)].split(size))
