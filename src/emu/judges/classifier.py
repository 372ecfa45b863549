"""Image classifiers by hub name or folder: whatever transformers calls a model for image classification.

Pictures are prepared by the model's own processor, since every family has its own ways.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageClassification

from emu.errors import UserError
from emu.judges.pretrained import Pretrained

EITHER = "multi_label_classification"  # transformers' word for labels that do not exclude each other


class Classifier:
    """A picture -> the probability of each label; loaded when it is first asked for something.

    Args:
        model: a hub name, or a folder with the model and its image processor.
    """

    def __init__(self, model: str) -> None:
        self.files = Pretrained(model, "a folder or hub name of one", "classifier")

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
                raise UserError(f"{self.files}: has no label {label}; it has {has}")
        return [known.index(label.lower()) for label in labels]

    def require(self) -> None:
        """UserError where there is no such model, or no classifier of pictures, by its config alone."""
        if not any("ImageClassification" in name for name in self.config.architectures or []):
            raise UserError(
                f"{self.files}: a {self.config.model_type} without a classifier's head; name a model for "
                "image classification"
            )

    @cached_property
    def config(self) -> Any:
        return self.files.read(AutoConfig)

    @cached_property
    def model(self) -> Any:
        """In float32 and evaluation mode. UserError: absent, or no classifier of pictures."""
        self.require()
        return self.files.model(AutoModelForImageClassification, dtype=torch.float32)

    @cached_property
    def processor(self) -> Any:
        return self.files.read(AutoImageProcessor)
