"""CLIP and SigLIP as judges use them: a picture or a text -> a vector of unit length, in one space.

Pictures come as tensors and are prepared here, as the model's own processor describes it, so that torchvision is not
needed. Pillow, which the processor would take, rounds and clips to 8 bits on the way; this does not, and differs by 0.3
of an 8-bit level on average, on noise.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoTokenizer

from emu.errors import UserError
from emu.judges.judge import Card, versions
from emu.judges.weights import require_sha256, weights_sha256

KINDS = ("clip", "siglip")
FILTERS = {2: "bilinear", 3: "bicubic"}  # Pillow's numbers, which processors keep, in torch's words


@dataclass(frozen=True)
class Preprocessing:
    """How a model wants its pictures.

    Args:
        size: the shortest side in pixels, proportions kept, or (height, width).
        crop: (height, width) cut from the middle after resizing; None for all of the picture.
        filter: "bilinear" or "bicubic", antialiased either way.
        mean, std: of red, green and blue.
    """

    size: int | tuple[int, int]
    crop: tuple[int, int] | None
    filter: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, processor: Any) -> "Preprocessing":
        """What a transformers image processor is set to."""
        size, crop = processor.size, processor.crop_size
        return cls(
            size=size["shortest_edge"] if "shortest_edge" in size else (size["height"], size["width"]),
            crop=(crop["height"], crop["width"]) if processor.do_center_crop else None,
            filter=FILTERS[int(processor.resample)],
            mean=tuple(processor.image_mean),
            std=tuple(processor.image_std),
        )

    def __call__(self, images: Tensor) -> Tensor:
        """float (b,3,h,w) in [0,1] -> float (b,3,height,width), normalised."""
        size = self._resized(*images.shape[-2:])
        images = F.interpolate(images.float(), size, mode=self.filter, antialias=True, align_corners=False).clamp(0, 1)
        if self.crop:
            top, left = (size[0] - self.crop[0]) // 2, (size[1] - self.crop[1]) // 2
            images = images[..., top : top + self.crop[0], left : left + self.crop[1]]
        mean, std = (images.new_tensor(values).view(3, 1, 1) for values in (self.mean, self.std))
        return (images - mean) / std

    def __str__(self) -> str:
        size = f"shortest side {self.size}" if isinstance(self.size, int) else f"{self.size[0]} x {self.size[1]}"
        crop = f", middle {self.crop[0]} x {self.crop[1]}" if self.crop else ""
        mean, std = (", ".join(f"{value:.4g}" for value in values) for values in (self.mean, self.std))
        return f"antialiased {self.filter} to {size}{crop}, mean ({mean}), std ({std}), not rounded to 8 bits between"

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        if not isinstance(self.size, int):
            return self.size
        short = min(height, width)
        return int(self.size * height / short), int(self.size * width / short)


class Embedder:
    """A CLIP or SigLIP model, loaded when it is first asked for something.

    Where verdicts are made it takes one picture or text at a time: so no score depends on its batch, and memory stays
    the same however many there are. Drawing a picture takes far longer than reading it. For haystacks, where reading is
    all there is, `images` and `texts` take many together.

    Args:
        model: a hub name, or a folder with the model, its tokenizer and its image processor.
        processor: where tokenizer and image processor are, if not with the model.
        sha256: that the weights must have, or its beginning; others are refused.
    """

    def __init__(self, model: str, processor: str | None = None, *, sha256: str | None = None) -> None:
        self.name = model
        self.processor = processor or model
        self.expected = sha256

    @torch.inference_mode()
    def image(self, image: Tensor) -> Tensor:
        """A picture, float (3,h,w) in [0,1] on any device -> (d,) of length 1."""
        model = self.model.to(image.device)
        return _unit(model.get_image_features(pixel_values=self.preprocessing(image[None])))[0]

    @torch.inference_mode()
    def images(self, images: Sequence[Tensor]) -> Tensor:
        """Pictures (3,h,w) in [0,1] of any sizes, in one forward pass -> (b,d); as `image` but for the last bits."""
        model = self.model.to(images[0].device)
        return _unit(
            model.get_image_features(pixel_values=torch.cat([self.preprocessing(one[None]) for one in images]))
        )

    @torch.inference_mode()
    def text(self, text: str) -> Tensor:
        """A text, cut at `tokens` tokens -> (d,) of length 1, on the device of the last picture."""
        return self.texts([text])[0]

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> Tensor:
        """The same of many in one forward pass -> (b,d)."""
        cut = self.tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=self.tokens, return_tensors="pt"
        )
        # No attention mask: CLIP's is causal and ends at the text's last token, SigLIP was trained without one.
        return _unit(self.model.get_text_features(input_ids=cut["input_ids"].to(self.model.device)))

    def describe(self) -> Card:
        """Name, hash and preprocessing of the model, and the versions that ran it."""
        return {
            "model": self.name,
            "sha256": self.sha256,
            "preprocessing": str(self.preprocessing),
            "versions": versions("torch", "transformers"),
        }

    @cached_property
    def model(self) -> Any:
        """In float32 and evaluation mode. Raises UserError where there is none, or another than was asked for."""
        model = self.load_model().eval().requires_grad_(False)
        require_sha256(weights_sha256(model), self.expected, of=f"judge's model {self.name}")
        return model

    def load_model(self) -> Any:
        """A model of CLIP's or SigLIP's interface, in float32; a subclass may read it from elsewhere."""
        self.require()
        return self._load(AutoModel.from_pretrained, self.name, dtype=torch.float32)

    def require(self) -> None:
        """UserError where there is no such model, or one of another kind, by its config alone."""
        kind = self._load(AutoConfig.from_pretrained, self.name).model_type
        if kind not in KINDS:
            raise UserError(f"judge's model {self.name}: a {kind}; name a CLIP or a SigLIP (fixed size) model")

    @cached_property
    def tokenizer(self) -> Any:
        return self._load(AutoTokenizer.from_pretrained, self.processor)

    @cached_property
    def preprocessing(self) -> Preprocessing:
        return Preprocessing.of(self._load(AutoImageProcessor.from_pretrained, self.processor))

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

    def _load(self, load: Callable[..., Any], name: str, **how: Any) -> Any:
        try:
            return load(name, **how)
        except (OSError, ValueError, UnpicklingError) as error:  # of transformers, for what is absent, damaged, or code
            said = str(error).partition("\n")[0].rstrip(".")
            raise UserError(f"judge's model {name}: {said}; name a folder or hub name of CLIP or SigLIP") from error


def _unit(output: Any) -> Tensor:
    return F.normalize(output.pooler_output, dim=1)
