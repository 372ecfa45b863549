"""VQAScore: whether a picture shows its prompt, asked of a model that sees and answers."""

from functools import cached_property
from pickle import UnpicklingError
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import AutoModelForImageTextToText, AutoProcessor

from emu.errors import UserError
from emu.judges.judge import Card, Judge, versions
from emu.judges.weights import require_sha256, weights_sha256

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
        self.model_name = model
        self.pinned = sha256

    @torch.inference_mode()
    def score(self, images: Tensor, prompts: list[str]) -> Tensor:
        model = self.model.to(images.device)
        chances: list[Tensor] = []
        for image, prompt in zip(images, prompts, strict=True):  # one by one: a score must not depend on its batch
            given = self.processor(text=[self._ask(prompt)], images=[_picture(image)], return_tensors="pt")
            logits = model(**given.to(images.device, model.dtype)).logits[0, -1].float()
            chances.append(logits.softmax(0)[self.yes])
        return torch.stack(chances)

    def describe(self) -> Card:
        kind = type(self.processor.image_processor).__name__
        return {
            "model": self.model_name,
            "sha256": self.sha256,
            "preprocessing": f"8-bit RGB through the model's own processor ({kind})",
            "text": QUESTION.format("PROMPT"),
            "score": f'probability of "{ANSWER}" as the first token of the answer, arXiv 2404.01291',
            "precision": str(self.model.dtype).removeprefix("torch."),
            "versions": versions("torch", "transformers"),
        }

    @cached_property
    def model(self) -> Any:
        """In evaluation mode. Raises UserError where there is none, or another than was asked for."""
        model = self._load(AutoModelForImageTextToText, dtype="auto").eval().requires_grad_(False)
        require_sha256(weights_sha256(model), self.pinned, of=f"judge's model {self.model_name}")
        return model

    @cached_property
    def processor(self) -> Any:
        """Raises UserError for a model that no question can be put to."""
        processor = self._load(AutoProcessor)
        if not getattr(processor, "chat_template", None):
            raise UserError(f"judge's model {self.model_name}: has no chat template; name one that answers questions")
        return processor

    @cached_property
    def yes(self) -> int:
        """The first token of the answer."""
        return int(self.processor.tokenizer(ANSWER, add_special_tokens=False)["input_ids"][0])

    @cached_property
    def sha256(self) -> str:
        """Of all weights."""
        return weights_sha256(self.model)

    def _ask(self, prompt: str) -> str:
        for token in self.processor.tokenizer.all_special_tokens:  # a prompt is text, and neither picture nor turn
            prompt = prompt.replace(token, "")
        content = [{"type": "image"}, {"type": "text", "text": QUESTION.format(prompt)}]
        asked: str = self.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        return asked

    def _load(self, kind: Any, **how: Any) -> Any:
        try:
            return kind.from_pretrained(self.model_name, **how)
        except (OSError, ValueError, UnpicklingError) as error:  # of transformers, for what is absent, damaged, or code
            said = str(error).strip().partition("\n")[0].rstrip(".")
            raise UserError(
                f"judge's model {self.model_name}: {said}; name a model that takes pictures and text"
            ) from error


def _picture(image: Tensor) -> Image.Image:
    """float (3,h,w) in [0,1] -> the 8-bit picture that processors take."""
    return Image.fromarray((image * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy())
