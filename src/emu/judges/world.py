"""The two judges of the simulated web: small networks that learned from renderings whose truth is known.

They never saw a picture that a model learns from or makes: their renderings come from a world of another seed. Both
look at 32 x 32 pixels, so that a model of few pixels is judged by its picture and not by its size.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from emu import files
from emu.bundled import resolve
from emu.judges.judge import Card, Judge, versions
from emu.world import COLOURS, KINDS, PLACES, QUALITIES, TIMES, named

SIDE = 32  # pixels
ATTRIBUTES = {"kind": KINDS, "colour": tuple(COLOURS), "place": tuple(PLACES), "time": tuple(TIMES)}


class Reader(nn.Sequential):
    """(b,3,h,w) in [0,1] -> logits (b, outputs)."""

    def __init__(self, outputs: int, *, width: int = 20) -> None:
        def block(before: int, after: int, stride: int) -> nn.Sequential:
            return nn.Sequential(nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU())

        steps = [
            (3, width, 1),
            (width, 2 * width, 2),
            (2 * width, 2 * width, 1),
            (2 * width, 4 * width, 2),
            (4 * width, 4 * width, 1),
        ]
        blocks = [block(*step) for step in [*steps, (4 * width, 4 * width, 2)]]
        super().__init__(*blocks, nn.Flatten(), nn.Dropout(0.2), nn.Linear(4 * width * 16, outputs))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = super().forward(_small(images) * 2 - 1)  # type: ignore[no-untyped-call]
        return logits


def _small(images: Tensor) -> Tensor:
    """float (b,3,h,w) -> (b,3,SIDE,SIDE); what has that size is as it was."""
    return F.interpolate(images.float(), size=(SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)


class _WorldJudge(Judge):
    """A reader with the weights and the held-out accuracy that ship beside it."""

    family = "world"
    outputs: int

    def __init__(self, folder: str = "emu://judges") -> None:
        weights = Path(resolve(folder)) / f"{self.name}.safetensors"
        self.reader = Reader(self.outputs).eval().requires_grad_(False)
        self.reader.load_state_dict(
            {k: v.float() for k, v in load_file(weights).items() if "num_batches" not in k}, strict=False
        )
        self.sha256 = files.sha256(weights)
        self.accuracy = json.loads(weights.with_suffix(".json").read_text())

    def describe(self) -> Card:
        return {
            "name": self.name,
            "sha256": self.sha256,
            "preprocessing": f"antialiased bilinear to {SIDE} x {SIDE}, RGB in [-1, 1]",
            "versions": versions("torch"),
            "tie": self.tie,
            **{f"held-out accuracy: {name}": value for name, value in self.accuracy.items()},
        }

    @torch.inference_mode()
    def _logits(self, images: Tensor) -> Tensor:
        # One by one: the last bits depend on how many go together.
        reader = self.reader.to(images.device)
        return torch.cat([reader(image[None]) for image in images])

    @torch.inference_mode()
    def _logits_many(self, images: Sequence[Tensor]) -> Tensor:
        logits: Tensor = self.reader.to(images[0].device)(torch.cat([_small(image[None]) for image in images]))
        return logits


class WorldAppeal(_WorldJudge):
    """How many of the five photographic qualities a picture has: the mean of their probabilities, 0 to 1."""

    name = "world-appeal"
    tie = 0.01
    outputs = len(QUALITIES)

    def score(self, images: Tensor, prompts: list[str]) -> Tensor:
        return self._logits(images).sigmoid().mean(1)

    def score_many(self, images: Sequence[Tensor], prompts: Sequence[str]) -> Tensor:
        return self._logits_many(images).sigmoid().mean(1)


class WorldFaithfulness(_WorldJudge):
    """The share of the attributes a prompt names (kind, colour, place, time) that are read in the picture, 0 to 1."""

    name = "world-faithfulness"
    tie = 0.0
    outputs = sum(len(values) for values in ATTRIBUTES.values())

    def score(self, images: Tensor, prompts: list[str]) -> Tensor:
        return self._shares(self._logits(images), prompts)

    def score_many(self, images: Sequence[Tensor], prompts: Sequence[str]) -> Tensor:
        return self._shares(self._logits_many(images), prompts)

    def read(self, images: Tensor) -> list[dict[str, str]]:
        """float (b,3,h,w) in [0,1] -> for each picture, attribute -> the value that is read in it."""
        return self._values(self._logits(images))

    @staticmethod
    def _values(together: Tensor) -> list[dict[str, str]]:
        logits = together.cpu().split([len(values) for values in ATTRIBUTES.values()], 1)
        places = torch.stack([part.argmax(1) for part in logits], dim=1).tolist()
        return [
            {name: values[place] for (name, values), place in zip(ATTRIBUTES.items(), row, strict=True)}
            for row in places
        ]

    def _shares(self, together: Tensor, prompts: Sequence[str]) -> Tensor:
        read = self._values(together)
        return torch.tensor([self._share(prompt, values) for prompt, values in zip(prompts, read, strict=True)])

    @staticmethod
    def _share(prompt: str, read: dict[str, str]) -> float:
        right = [read[name] == value for name, value in named(prompt).items()]
        return sum(right) / len(right) if right else 1.0


class WorldLooks:
    """What the network of `WorldFaithfulness` sees before it names anything, as a vector: for copies of one scene.

    Args:
        folder: of the judges; `emu://judges` for those that ship.
    """

    def __init__(self, folder: str = "emu://judges") -> None:
        self.reader = WorldFaithfulness(folder).reader

    @torch.inference_mode()
    def images(self, images: Sequence[Tensor]) -> Tensor:
        """float (3,h,w) in [0,1] each -> (b,1280) of length 1 each."""
        reader = self.reader.to(images[0].device)
        seen = torch.cat([_small(image[None]) for image in images]) * 2 - 1
        for layer in list(reader)[:-1]:
            seen = layer(seen)
        return F.normalize(seen, dim=1)

    def require(self) -> None:
        """It is there once it is made."""
