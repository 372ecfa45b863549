"""PickScore: which of two pictures of a prompt people would pick."""

from collections.abc import Sequence

import torch
from torch import Tensor

from emu.judges.embedding import Embedder
from emu.judges.judge import Card, Judge


class PickScore(Judge):
    """How well people would like a picture for its prompt (Kirstain et al. 2023, arXiv 2305.01569).

    A CLIP that learned from half a million choices between two pictures: the score is its scaled cosine, and the
    softmax of two scores the chance that the first is picked. It judges liking and fitting at once, and its choices
    were made on a web page of its time: it may reject, and should not select alone.

    Args:
        model: the tuned CLIP, by hub name or folder; loaded when the first picture is judged.
        processor: of the CLIP that it was tuned from, by hub name or folder.
        sha256: that the weights must have, or its beginning; others are refused.
    """

    name = "pick-score"
    family = "clip"
    tie = 0.1  # the chance that one is picked is then between 47.5 and 52.5 %

    def __init__(
        self,
        model: str = "yuvalkirstain/PickScore_v1",
        processor: str = "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
        *,
        sha256: str | None = None,
    ) -> None:
        self.embedder = Embedder(model, processor, sha256=sha256)

    def score(self, images: Tensor, prompts: list[str]) -> Tensor:
        cosines = [
            self.embedder.image(image) @ self.embedder.text(prompt)
            for image, prompt in zip(images, prompts, strict=True)
        ]
        return self.embedder.scale * torch.stack(cosines)

    def score_many(self, images: Sequence[Tensor], prompts: Sequence[str]) -> Tensor:
        return self.embedder.scale * (self.embedder.images(images) * self.embedder.texts(prompts)).sum(1)

    def require(self) -> None:
        self.embedder.require()

    def describe(self) -> Card:
        text = f"the prompt as it is, cut at {self.embedder.tokens} tokens"
        score = f"{self.embedder.scale:.4g} cosine, arXiv 2305.01569"
        return {**self.embedder.describe(), "processor": self.embedder.processor, "text": text, "score": score}
