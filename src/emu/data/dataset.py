"""A draw of the epoch's plan -> one item of a batch; items -> the batch that a module sees."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.data import Dataset, default_collate

from emu.data.epoch import Draw
from emu.data.fitting import fit, micro_conditioning
from emu.data.pictures import BadPicture, decode
from emu.data.survey import Picture


class Decoded(Dataset[dict[str, Any]]):
    """Pictures decoded afresh at every draw."""

    def __init__(self, pictures: Sequence[Picture], *, max_pixels: int) -> None:
        self.pictures = pictures
        self.max_pixels = max_pixels

    def __getitem__(self, draw: Draw) -> dict[str, Any]:
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


def collate(items: list[dict[str, Any]]) -> dict[str, Any]:
    """Items of one bucket -> the batch: tensors stacked, texts as lists, and `fault`, which the loader takes out."""
    columns = {key: [item[key] for item in items] for key in items[0]}
    seeds = {"noise_seed": columns.pop("noise_seed")}  # numbers: to read them from a GPU would make each step wait
    floats = {key: torch.tensor(columns.pop(key), dtype=torch.float32) for key in ("weight", "time") if key in columns}
    stacked: dict[str, Any] = {key: default_collate(column) for key, column in columns.items()}
    return stacked | floats | seeds


def described(picture: Picture, draw: Draw) -> dict[str, Any]:
    """All of an item but the picture itself; of several captions the picture's own seed draws one."""
    texts = picture.entry.texts
    return {
        "text": "" if draw.drop else texts[draw.seed % len(texts)],
        "size": micro_conditioning(picture.height, picture.width, picture.bucket),
        "weight": draw.weight,
        "noise_seed": draw.seed,
        **({} if draw.time is None else {"time": draw.time}),
        "name": picture.entry.name,
        "fault": "",
    }
