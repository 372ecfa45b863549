"""Image classifiers by hub name or folder: whatever transformers calls a model for image classification.

Pictures are prepared by the model's own processor, since every family has its own ways.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from pickle import UnpicklingError
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageClassification

from emu.errors import UserError

EITHER = "multi_label_classification"  # transformers' word for labels that do not exclude each other


class Classifier:
    """A picture -> the probability of each label; loaded when it is first asked for something.

    Args:
        model: a hub name, or a folder with the model and its image processor.
    """

    def __init__(self, model: str) -> None:
        self.name = model

    @torch.inference_mode()
    def probabilities(self, images: Sequence[Image.Image]) -> Tensor:
        """RGB pictures -> float (b, labels) on the CPU, as `labels` orders them; on a GPU where there is one."""
        model = self.model.to("cuda" if torch.cuda.is_available() else "cpu")
        pixels = self.processor(list(images), return_tensors="pt")["pixel_values"].to(model.device)
        logits = model(pixel_values=pixels).logits.float().cpu()
        chances: Tensor = logits.sigmoid() if model.config.problem_type == EITHER else logits.softmax(1)
        return chances

    @property
    def labels(self) -> list[str]:
        """Their names, in order."""
        names = self.config.id2label
        return [str(names[number]) for number in sorted(names)]

    def places(self, labels: Sequence[str]) -> list[int]:
        """Where labels lie in `labels`, upper and lower case alike. UserError: the model has no such label."""
        known = [name.lower() for name in self.labels]
        for label in labels:
            if label.lower() not in known:
                has = ", ".join(self.labels[:12])
                raise UserError(f"classifier {self.name}: has no label {label}; it has {has}")
        return [known.index(label.lower()) for label in labels]

    def require(self) -> None:
        """UserError where there is no such model, or no classifier of pictures, by its config alone."""
        if not any("ImageClassification" in name for name in self.config.architectures or []):
            raise UserError(
                f"classifier {self.name}: a {self.config.model_type} without a classifier's head; name a model for "
                "image classification"
            )

    @cached_property
    def config(self) -> Any:
        return self._load(AutoConfig.from_pretrained)

    @cached_property
    def model(self) -> Any:
        """In float32 and evaluation mode. UserError where there is none, or one that is no classifier of pictures."""
        self.require()
        return self._load(AutoModelForImageClassification.from_pretrained, dtype=torch.float32).eval()

    @cached_property
    def processor(self) -> Any:
        return self._load(AutoImageProcessor.from_pretrained)

    def _load(self, load: Callable[..., Any], **how: Any) -> Any:
        try:
            return load(self.name, **how)
        except (OSError, ValueError, UnpicklingError) as error:  # of transformers, for what is absent or damaged
            said = str(error).partition("\n")[0].rstrip(".")
            raise UserError(f"classifier {self.name}: {said}; name a folder or hub name of one") from error
