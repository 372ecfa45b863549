"""VQAScore: whether a picture shows its prompt, asked of a model that sees and answers."""

from functools import cached_property

import torch
from torch import Tensor

from emu.judges.chat import ChatModel
from emu.judges.judge import Card, Judge, versions
from emu.judges.preprocessing import to_picture
from emu.judges.weights import weights_sha256

QUESTION = 'Does this figure show "{}"? Please answer yes or no.'  # Lin et al. 2024, arXiv 2404.01291, section 3
ANSWER = "Yes"


class VqaScore(Judge):
    """Faithfulness as the probability that the answer begins with "Yes" (Lin et al. 2024, arXiv 2404.01291); 0 to 1.

    The answer's first token counts. Relations, counts and attributes are read better than by CLIP; a model that says
    yes to everything ties everything, and one that an instruction in a prompt can lead is led by it.

    Args:
        model: any transformers image-text-to-text model with a chat template, by hub name or folder; loaded when the
            first picture is judged, in the precision that its weights are kept in. No code of a repository is run.
        sha256: that its weights must have, or its beginning; others are refused.
    """

    name = "vqa-score"
    family = "vlm"
    tie = 0.02  # of a probability

    def __init__(self, model: str = "HuggingFaceTB/SmolVLM2-2.2B-Instruct", *, sha256: str | None = None) -> None:
        self.chat = ChatModel(model, sha256=sha256)

    @torch.inference_mode()
    def score(self, images: Tensor, prompts: list[str]) -> Tensor:
        model = self.chat.model.to(images.device)
        chances: list[Tensor] = []
        for image, prompt in zip(images, prompts, strict=True):  # one by one: a score must not depend on its batch
            inputs = self.chat.inputs(to_picture(image), QUESTION.format(prompt))
            chances.append(model(**inputs).logits[0, -1].float().softmax(0)[self.yes])
        return torch.stack(chances)

    def require(self) -> None:
        self.chat.require()

    def describe(self) -> Card:
        kind = type(self.chat.processor.image_processor).__name__
        return {
            "model": self.chat.files.name,
            "sha256": self.sha256,
            "preprocessing": f"8-bit RGB through the model's own processor ({kind})",
            "text": QUESTION.format("PROMPT"),
            "score": f'probability of "{ANSWER}" as the first token of the answer, arXiv 2404.01291',
            "precision": str(self.chat.model.dtype).removeprefix("torch."),
            "versions": versions("torch", "transformers"),
        }

    @cached_property
    def yes(self) -> int:
        """The first token of the answer."""
        return int(self.chat.processor.tokenizer(ANSWER, add_special_tokens=False)["input_ids"][0])

    @cached_property
    def sha256(self) -> str:
        """Of all weights."""
        return weights_sha256(self.chat.model)
