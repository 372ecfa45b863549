"""What a judge is: a subclass says which of two pictures of one prompt is better by giving each a number."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor


class Judge(ABC):
    """Scores pictures, each beside the prompt it was drawn from; higher is better.

    Only differences between two pictures of one prompt are read, so the scale is the judge's own.
    """

    name: str
    """How reports call it."""

    tie: float
    """Two pictures tie when their scores differ by at most this, in the judge's own units."""

    @abstractmethod
    def score(self, images: Tensor, prompts: list[str]) -> Tensor:
        """images: float (b,3,h,w) in [0,1] on any device, prompts: b texts -> float (b,).

        A score must not depend on its batch.
        """

    @abstractmethod
    def describe(self) -> dict[str, str | float]:
        """What a reader needs to trust or repeat a verdict: weights sha256, preprocessing, tie rule, held-out accuracy.

        Keys are shown as they are; values should be plain words or numbers.
        """


def judge_pixels(pixels: Tensor, prompts: list[str], *, judges: Mapping[str, Judge]) -> list[dict[str, float]]:
    """What every judge says of 8-bit pictures, uint8 (b,3,h,w): for each picture, criterion -> score."""
    images = pixels.float() / 255
    columns = {criterion: judge.score(images, prompts).tolist() for criterion, judge in judges.items()}
    return [{criterion: scores[i] for criterion, scores in columns.items()} for i in range(len(prompts))]


def judge_card(judge: Judge) -> dict[str, str | float]:
    """A judge's description with its `name` and its `tie` as a number: what run folders keep, to be read without it."""
    return {**judge.describe(), "name": judge.name, "tie": judge.tie}
