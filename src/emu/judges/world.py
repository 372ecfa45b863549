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

from emu.bundled import resolve
from emu.errors import UserError
from emu.judges.embedder import Embedder
from emu.judges.judge import BatchedJudge, Card, versions
from emu.storage import files
from emu.world import COLOURS, KINDS, PLACES, QUALITIES, TIMES, named

SIDE = 32  # pixels
PREPROCESSING = f"antialiased bilinear to {SIDE} x {SIDE}, RGB in [-1, 1]"
ATTRIBUTES = {"kind": KINDS, "colour": tuple(COLOURS), "place": tuple(PLACES), "time": tuple(TIMES)}


class WorldReader(nn.Sequential):
    """Pictures in [0,1] -> logits (b, outputs)."""

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

    def features(self, images: Tensor | Sequence[Tensor]) -> Tensor:
        """(b,3,h,w) in [0,1], or b pictures (3,h,w) of any sizes -> (b,1280), what the last layer decides by."""
        seen = _small(images) if isinstance(images, Tensor) else torch.cat([_small(image[None]) for image in images])
        seen = seen * 2 - 1
        for layer in list(self)[:-1]:
            seen = layer(seen)
        return seen

    def forward(self, images: Tensor | Sequence[Tensor]) -> Tensor:
        logits: Tensor = self[-1](self.features(images))
        return logits


def _small(images: Tensor) -> Tensor:
    """float (b,3,h,w) -> (b,3,SIDE,SIDE); what has that size is as it was."""
    return F.interpolate(images.float(), size=(SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)


class _WorldJudge(BatchedJudge):
    """A reader with the weights and the held-out accuracy that ship beside it."""

    family = "world"
    outputs: int

    def __init__(self, folder: str = "emu://judges") -> None:
        weights = Path(resolve(folder)) / f"{self.name}.safetensors"
        self.reader = WorldReader(self.outputs).eval().requires_grad_(False)
        self.reader.load_state_dict(
            {k: v.float() for k, v in load_file(weights).items() if "num_batches" not in k}, strict=False
        )
        self.sha256 = files.sha256(weights)
        self.accuracy = json.loads(weights.with_suffix(".json").read_text())

    def describe(self) -> Card:
        return {
            "name": self.name,
            "sha256": self.sha256,
            "preprocessing": PREPROCESSING,
            "versions": versions("torch"),
            "tie": self.tie,
            **{f"held-out accuracy: {name}": value for name, value in self.accuracy.items()},
        }

    @torch.inference_mode()
    def logits(self, images: Sequence[Tensor]) -> Tensor:
        """b pictures, float (3,h,w) in [0,1] -> (b, outputs), in one forward pass."""
        logits: Tensor = self.reader.to(images[0].device)(images)
        return logits


class WorldAppeal(_WorldJudge):
    """How many of the five photographic qualities a picture has: the mean of their probabilities, 0 to 1."""

    name = "world-appeal"
    reads_prompts = False
    tie = 0.01
    outputs = len(QUALITIES)

    def score_many(self, images: Sequence[Tensor], prompts: Sequence[str]) -> Tensor:
        return self.logits(images).sigmoid().mean(1)


class WorldFaithfulness(_WorldJudge):
    """The share of the attributes a prompt names (kind, colour, place, time) that are read in the picture, 0 to 1."""

    name = "world-faithfulness"
    tie = 0.0
    outputs = sum(len(values) for values in ATTRIBUTES.values())

    def score_many(self, images: Sequence[Tensor], prompts: Sequence[str]) -> Tensor:
        read = self.read(images)
        return torch.tensor([self._share(prompt, values) for prompt, values in zip(prompts, read, strict=True)])

    def read(self, images: Sequence[Tensor]) -> list[dict[str, str]]:
        """float (3,h,w) in [0,1] each -> for each picture, attribute -> the value that is read in it."""
        logits = self.logits(images).cpu().split([len(values) for values in ATTRIBUTES.values()], 1)
        places = torch.stack([part.argmax(1) for part in logits], dim=1).tolist()
        return [
            {name: values[place] for (name, values), place in zip(ATTRIBUTES.items(), row, strict=True)}
            for row in places
        ]

    @staticmethod
    def _share(prompt: str, read: dict[str, str]) -> float:
        right = [read[name] == value for name, value in named(prompt).items()]
        return sum(right) / len(right) if right else 1.0


JUDGES = {kind.name: kind for kind in (WorldFaithfulness, WorldAppeal)}


class WorldFeatures(Embedder):
    """What the network of a world's judge sees before it decides, of length 1: an embedder without further weights.

    It knows the simulated web and nothing of photographs.

    Args:
        judge: `world-faithfulness`, which learned what is shown and not how well, or `world-appeal`.
    """

    def __init__(self, judge: str = WorldFaithfulness.name) -> None:
        if judge not in JUDGES:
            raise UserError(f"WorldFeatures: no judge {judge}; there are {', '.join(JUDGES)}")
        self.judge = JUDGES[judge]()

    @torch.inference_mode()
    def images(self, images: Sequence[Tensor]) -> Tensor:
        """float (3,h,w) in [0,1] each -> (b,1280)."""
        reader = self.judge.reader.to(images[0].device)
        return F.normalize(reader.features(images), dim=1)

    def describe(self) -> Card:
        card: Card = {"model": self.judge.name, "sha256": self.judge.sha256}
        return {**card, "preprocessing": PREPROCESSING, "versions": versions("torch")}
