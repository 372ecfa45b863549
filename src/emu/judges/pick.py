"""PickScore: which of two pictures of a prompt people would pick."""

from collections.abc import Sequence

from torch import Tensor

from emu.judges.clip import Clip, CosineJudge
from emu.judges.judge import Card


class PickScore(CosineJudge):
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
    tie = 0.1  # the chance that one is picked is then between 47.5 and 52.5 %

    def __init__(
        self,
        model: str = "yuvalkirstain/PickScore_v1",
        processor: str = "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
        *,
        sha256: str | None = None,
    ) -> None:
        super().__init__(Clip(model, processor, sha256=sha256))

    def score_many(self, images: Sequence[Tensor], prompts: Sequence[str]) -> Tensor:
        return self.embedder.scale * self.cosines(images, prompts)

    def describe(self) -> Card:
        score = f"{self.embedder.scale:.4g} cosine, arXiv 2305.01569"
        return {**super().describe(), "processor": self.embedder.prepares.name, "score": score}
