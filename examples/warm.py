"""Warm, a judge of your own: one class in one file, outside of the package.

emu compare runs/mine --out page.html --appeal warm.Warm:warm.safetensors,sha256=0f3a99c1
"""

from pathlib import Path

import torch
from torch import Tensor

from emu.judges import Card, Judge, WeightsFile, versions


class Warm(Judge):
    """How well a picture's mean colour suits a taste, whatever its prompt.

    Args:
        weights: a `.safetensors` file with `weight` (3,), how much red, green and blue are liked.
        sha256: that the file must have, or its beginning; another is refused.
    """

    name, family, tie = "warm", "colour", 0.01

    def __init__(self, weights: str, *, sha256: str | None = None) -> None:
        self.file = WeightsFile(Path(weights), sha256)
        self.weight: Tensor = self.file.read(wanted="a file with a `weight` of three numbers")["weight"]

    def score(self, images: Tensor, prompts: list[str]) -> Tensor:
        weight = self.weight.to(images.device)
        return torch.stack([image.mean((1, 2)) @ weight for image in images])  # one by one: never by its batch

    def describe(self) -> Card:
        return {"model": self.file.path.name, "sha256": self.file.sha256, "versions": versions("torch")}
