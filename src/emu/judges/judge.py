"""What a judge is: a subclass says which of two pictures of one prompt is better by giving each a number."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor

from emu import answers
from emu.class_paths.code import own_code
from emu.errors import UserError, printable
from emu.storage import shapes
from emu.storage.records import build, fault

Card = dict[str, str | float]


class Judge(ABC):
    """Scores pictures, each beside the prompt it was drawn from; higher is better.

    Only differences between two pictures of one prompt are read, so the scale is the judge's own.
    """

    name: str
    """How reports call it."""

    family: str = ""
    """What it was made from, in a word. Two judges of one family share their blind spots: only judges of different
    families are a second opinion on each other. A judge that does not say counts as none."""

    tie: float
    """Two pictures tie when their scores differ by at most this, in the judge's own units."""

    reads_prompts: bool = True
    """Whether its score depends on the prompt; False where it looks at the picture alone."""

    @abstractmethod
    def score(self, images: Tensor, prompts: list[str]) -> Tensor:
        """images: float (b,3,h,w) in [0,1] on any device, prompts: b texts -> float (b,).

        A score must not depend on its batch.
        """

    def score_many(self, images: Sequence[Tensor], prompts: Sequence[str]) -> Tensor:
        """For haystacks: pictures float (3,h,w) in [0,1] of any sizes -> float (b,).

        Here one by one. Where a judge can take them in one forward pass it may, and the last bits of a score then
        depend on who goes together; verdicts are made of `score` alone.
        """
        both = zip(images, prompts, strict=True)
        return torch.cat([column(self, "score", self.score(image[None], [text]), 1) for image, text in both])

    def require(self) -> None:  # noqa: B027 - most judges have all that they need once they are made
        """UserError where a model that is loaded later is not there, or of another kind; weights are not looked at."""

    @abstractmethod
    def describe(self) -> Card:
        """What a reader needs to trust or repeat a verdict: weights sha256, preprocessing, versions, held-out accuracy.

        Keys are shown as they are; values should be plain words or numbers.
        """


class BatchedJudge(Judge):
    """A judge that takes many pictures in one forward pass: a subclass gives `score_many` in place of `score`."""

    def score(self, images: Tensor, prompts: list[str]) -> Tensor:
        # One by one: the last bits depend on how many go together.
        one_by_one = [self.score_many([image], [text]) for image, text in zip(images, prompts, strict=True)]
        return torch.cat(one_by_one)

    @abstractmethod
    def score_many(self, images: Sequence[Tensor], prompts: Sequence[str]) -> Tensor: ...


def judge_pixels(
    pixels: Tensor, prompts: list[str], *, judges: Mapping[str, Judge], names: Sequence[object] = ()
) -> list[dict[str, float]]:
    """What every judge says of 8-bit pictures, uint8 (b,3,h,w): for each picture, criterion -> score.

    Raises UserError for a score that is no finite number, naming the judge and the picture: by its name of
    `names`, or by its prompt where there are none.
    """
    images = pixels.float() / 255
    columns = {
        criterion: column(judge, "score", judge.score(images, prompts), len(prompts)).tolist()
        for criterion, judge in judges.items()
    }
    for criterion, scores in columns.items():
        for score, picture in zip(scores, names or prompts, strict=True):
            if not math.isfinite(score):
                said = f"judge {judges[criterion].name} scores it {score}"
                raise UserError(f"{printable(str(picture))}: {said}; look at the picture, or name another judge")
    return [{criterion: scores[i] for criterion, scores in columns.items()} for i in range(len(prompts))]


def column(judge: Judge, method: str, given: Tensor, number: int) -> Tensor:
    """What a judge gave, a score a picture: float (b,). UserError: it gave something else."""
    wanted = f"a score a picture: ({number},)"
    tensor = torch.as_tensor(given) if isinstance(given, np.ndarray) else given
    scores = answers.tensor(tensor, judge, method, wanted, rows=number)
    if scores.ndim != 1:
        raise answers.refuse(judge, method, given, wanted)
    return scores.detach() if scores.is_floating_point() else scores.double()


def judge_card(judge: Judge) -> shapes.Card:
    """A judge's description with its `name`, `family` and `tie` rule as a number: what run folders keep.

    Of a class outside of emu also its code in 8 digits, so that no score outlives what gave it. UserError: it says too
    little, or something other than words and numbers.
    """
    for name, what in (("name", "how reports call it"), ("tie", "the difference within which two pictures tie")):
        if not hasattr(judge, name):
            raise answers.lacks(judge, name, what)
    described: Any = judge.describe()
    if not isinstance(described, Mapping):
        raise answers.refuse(judge, "describe", described, "a dict of words and numbers")
    family: Card = {"family": judge.family} if judge.family else {}
    code: Card = {"code": own} if (own := own_code(type(judge))) else {}
    said = {**described, **code, **family, "name": judge.name, "tie": judge.tie}
    if wrong := fault(said, dict[str, str | float]) or fault(said, shapes.Card):
        raise UserError(f"{answers.name_of(judge)}.describe: {wrong}; it says plain words and numbers")
    card: shapes.Card = build(said, shapes.Card)
    return card


def versions(*packages: str) -> str:
    """`versions("torch")` -> "torch 2.11.0": of what a judge's numbers come from."""
    return ", ".join(f"{package} {version(package)}" for package in packages)
