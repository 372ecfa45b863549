"""A draw of the epoch's plan -> one item of a batch; items -> the batch that a module sees."""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict, cast

import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from emu.batch import Cond, Pictures
from emu.data.epoch import Draw
from emu.data.fitting import fit, micro_conditioning
from emu.data.pictures import BadPicture, decode
from emu.data.survey import Picture


class Example(TypedDict):
    """One picture of a batch, `image` decoded or `x` and `cond` encoded; `fault` says why its weight is 0."""

    text: str
    size: Tensor
    weight: float
    noise_seed: int
    name: str
    fault: str
    time: NotRequired[float]
    image: NotRequired[Tensor]
    x: NotRequired[Tensor]
    cond: NotRequired[Cond]


class Decoded(Dataset[Example]):
    """Pictures decoded afresh at every draw."""

    def __init__(self, pictures: Sequence[Picture], *, max_pixels: int) -> None:
        self.pictures = pictures
        self.max_pixels = max_pixels

    def __getitem__(self, draw: Draw) -> Example:
        """An item with `image` float32 (3,h,w) in [-1,1].

        Where the file fails although its header was sound, a grey picture of weight 0 and the reason under `fault`, so
        that the epoch keeps its shape on all ranks.
        """
        picture = self.pictures[draw.picture]
        item = described(picture, draw)
        try:
            image = fit(decode(picture.entry.open, max_pixels=self.max_pixels), picture.bucket)
        except BadPicture as reason:
            grey = torch.zeros(3, *picture.bucket)
            return {**item, "image": grey, "weight": 0.0, "fault": f"{picture.entry.name}: {reason}"}
        return {**item, "image": image}


def collate(items: list[Example]) -> tuple[Pictures, list[str]]:
    """Items of one bucket -> (the batch, tensors stacked and texts as lists; the faults that there are)."""
    found: list[Mapping[str, Any]] = list(items)
    columns = {key: [item[key] for item in found] for key in found[0]}
    faults = [fault for fault in columns.pop("fault") if fault]
    seeds = {"noise_seed": columns.pop("noise_seed")}  # numbers: to read them from a GPU would make each step wait
    floats = {key: torch.tensor(columns.pop(key), dtype=torch.float32) for key in ("weight", "time") if key in columns}
    stacked = {key: default_collate(column) for key, column in columns.items()}
    return cast(Pictures, stacked | floats | seeds), faults


def described(picture: Picture, draw: Draw) -> Example:
    """All of an item but the picture itself; of several captions the picture's own seed draws one."""
    texts = picture.entry.texts
    item: Example = {
        "text": "" if draw.drop else texts[draw.seed % len(texts)],
        "size": micro_conditioning(picture.height, picture.width, picture.bucket),
        "weight": draw.weight,
        "noise_seed": draw.seed,
        "name": picture.entry.name,
        "fault": "",
    }
    return item if draw.time is None else {**item, "time": draw.time}
