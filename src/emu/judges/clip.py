"""CLIP and SigLIP: what they see as vectors, and CLIPScore, whether a picture shows its prompt."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoTokenizer

from emu.errors import UserError
from emu.judges.embedder import TextEmbedder
from emu.judges.judge import BatchedJudge, Card, versions
from emu.judges.preprocessing import Preprocessing
from emu.judges.pretrained import Pretrained
from emu.judges.weights import weights_sha256

KINDS = ("clip", "siglip")
WEIGHT = 2.5  # w of CLIPScore, Hessel et al. 2021, arXiv 2104.08718, section 3


class Clip(TextEmbedder):
    """A CLIP or SigLIP model, loaded when it is first asked for something.

    Args:
        model: a hub name, or a folder with the model, its tokenizer and its image processor.
        processor: where tokenizer and image processor are, if not with the model.
        sha256: that the weights must have, or its beginning; others are refused.
    """

    def __init__(self, model: str, processor: str | None = None, *, sha256: str | None = None) -> None:
        self.files = Pretrained(model, "a folder or hub name of CLIP or SigLIP", sha256=sha256)
        self.prepares = Pretrained(processor or model, self.files.wanted)

    @torch.inference_mode()
    def images(self, images: Sequence[Tensor]) -> Tensor:
        model = self.model.to(images[0].device)
        return _unit(model.get_image_features(torch.cat([self.preprocessing(image[None]) for image in images])))

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> Tensor:
        """Texts, each cut at `tokens` tokens -> (b,d), on the device of the last pictures."""
        cut = self.tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=self.tokens, return_tensors="pt"
        )
        # No attention mask: CLIP's is causal and ends at the text's last token, SigLIP was trained without one.
        return _unit(self.model.get_text_features(cut["input_ids"].to(self.model.device)))

    def describe(self) -> Card:
        return {
            "model": self.files.name,
            "sha256": self.sha256,
            "preprocessing": str(self.preprocessing),
            "versions": versions("torch", "transformers"),
        }

    def require(self) -> None:
        kind = self.files.read(AutoConfig).model_type
        if kind not in KINDS:
            raise UserError(f"{self.files}: a {kind}; name a CLIP or a SigLIP (fixed size) model")

    @cached_property
    def model(self) -> Any:
        """In float32 and evaluation mode. UserError: absent, of another kind, or with other weights than asked for."""
        self.require()
        return self.files.model(AutoModel, dtype=torch.float32)

    @cached_property
    def tokenizer(self) -> Any:
        return self.prepares.read(AutoTokenizer)

    @cached_property
    def preprocessing(self) -> Preprocessing:
        return Preprocessing.of(self.prepares.read(AutoImageProcessor), where=str(self.prepares))

    @property
    def scale(self) -> float:
        """What the model multiplies cosines by."""
        return float(self.model.logit_scale.exp())

    @property
    def tokens(self) -> int:
        """The longest text, in tokens."""
        return int(self.model.config.text_config.max_position_embeddings)

    @cached_property
    def sha256(self) -> str:
        """Of all weights in float32: the same for a hub name and a copy in a folder."""
        return weights_sha256(self.model)


def _unit(output: Any) -> Tensor:
    return F.normalize(output.pooler_output, dim=1)


class CosineJudge(BatchedJudge):
    """The cosine of a picture and its prompt, as a model of CLIP's kind sees both; a subclass says what it scores."""

    family = "clip"

    def __init__(self, embedder: Clip) -> None:
        self.embedder = embedder

    def cosines(self, images: Sequence[Tensor], prompts: Sequence[str]) -> Tensor:
        """b pictures (3,h,w) in [0,1], b prompts -> (b,), of each picture with its own prompt."""
        return (self.embedder.images(images) * self.embedder.texts(prompts)).sum(1)

    def require(self) -> None:
        self.embedder.require()

    def describe(self) -> Card:
        return {**self.embedder.describe(), "text": f"the prompt as it is, cut at {self.embedder.tokens} tokens"}


class ClipScore(CosineJudge):
    """Faithfulness as 2.5 max(cosine, 0) of picture and prompt (Hessel et al. 2021, arXiv 2104.08718); 0 to 2.5.

    The prompt is taken as it is, without the paper's "A photo depicts": not every prompt asks for a photo. CLIP reads
    objects well, and counts, relations and writing badly; what it reads is the start of a long prompt.

    Args:
        model: a CLIP or SigLIP model, by hub name or folder; loaded when the first picture is judged.
        sha256: that its weights must have, or its beginning; others are refused.
    """

    name = "clip-score"
    tie = 0.01  # far above what rounding does in any precision, below what a changed picture does

    def __init__(self, model: str = "openai/clip-vit-large-patch14", *, sha256: str | None = None) -> None:
        super().__init__(Clip(model, sha256=sha256))

    def score_many(self, images: Sequence[Tensor], prompts: Sequence[str]) -> Tensor:
        return WEIGHT * self.cosines(images, prompts).clamp(min=0)

    def describe(self) -> Card:
        return {**super().describe(), "score": f"{WEIGHT} max(cosine, 0), arXiv 2104.08718"}
