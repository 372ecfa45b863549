"""CLIP-IQA: whether a picture is nearer to praise or to blame, as CLIP sees it."""

from collections.abc import Sequence

from torch import Tensor

from emu.judges.clip import Clip
from emu.judges.judge import BatchedJudge, Card


class ClipIqa(BatchedJudge):
    """How much more a picture is like "Good photo." than "Bad photo.", 0 to 1 (Wang et al. 2022, arXiv 2207.12396).

    The prompt does not count. Noise, blur and bad light are seen; taste hardly is. It may reject, never select alone.

    Args:
        good, bad: the two texts, an antonym pair such as "Colorful photo." and "Dull photo.".
        model: a CLIP model, by hub name or folder; loaded when the first picture is judged.
        sha256: that its weights must have, or its beginning; others are refused.
    """

    name = "clip-iqa"
    reads_prompts = False
    family = "clip"
    tie = 0.01  # of a probability

    def __init__(
        self,
        good: str = "Good photo.",
        bad: str = "Bad photo.",
        model: str = "openai/clip-vit-base-patch16",
        *,
        sha256: str | None = None,
    ) -> None:
        self.good, self.bad = good, bad
        self.embedder = Clip(model, sha256=sha256)

    def score_many(self, images: Sequence[Tensor], prompts: Sequence[str]) -> Tensor:
        logits = self.embedder.images(images) @ self.embedder.texts([self.good, self.bad]).T
        return (self.embedder.scale * logits).softmax(1)[:, 0]

    def require(self) -> None:
        self.embedder.require()

    def describe(self) -> Card:
        score = f"softmax of {self.embedder.scale:.4g} cosine over the two texts, arXiv 2207.12396"
        return {**self.embedder.describe(), "texts": f"{self.good} | {self.bad}", "score": score}
