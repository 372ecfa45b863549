"""CLIPScore: whether a picture shows its prompt, as CLIP or SigLIP sees it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from emu.judges.embedding import Embedder
from emu.judges.judge import Card, Judge

WEIGHT = 2.5  # w of CLIPScore, Hessel et al. 2021, arXiv 2104.08718, section 3


class ClipScore(Judge):
    """Faithfulness as 2.5 max(cosine, 0) of picture and prompt (Hessel et al. 2021, arXiv 2104.08718); 0 to 2.5.

    The prompt is taken as it is, without the paper's "A photo depicts": not every prompt asks for a photo. CLIP reads
    objects well, and counts, relations and writing badly; what it reads is the start of a long prompt.

    Args:
        model: a CLIP or SigLIP model, by hub name or folder; loaded when the first picture is judged.
        sha256: that its weights must have, or its beginning; others are refused.
    """

    name = "clip-score"
    family = "clip"
    tie = 0.01  # far above what rounding does in any precision, below what a changed picture does

    def __init__(self, model: str = "openai/clip-vit-large-patch14", *, sha256: str | None = None) -> None:
        self.embedder = Embedder(model, sha256=sha256)

    def score(self, images: Tensor, prompts: list[str]) -> Tensor:
        cosines = [
            self.embedder.image(image) @ self.embedder.text(prompt)
            for image, prompt in zip(images, prompts, strict=True)
        ]
        return WEIGHT * torch.stack(cosines).clamp(min=0)

    def score_many(self, images: Sequence[Tensor], prompts: Sequence[str]) -> Tensor:
        cosines = (self.embedder.images(images) * self.embedder.texts(prompts)).sum(1)
        return WEIGHT * cosines.clamp(min=0)

    def require(self) -> None:
        self.embedder.require()

    def describe(self) -> Card:
        text = f"the prompt as it is, cut at {self.embedder.tokens} tokens"
        return {**self.embedder.describe(), "text": text, "score": f"{WEIGHT} max(cosine, 0), arXiv 2104.08718"}
