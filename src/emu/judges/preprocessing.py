"""Pictures on their way into a model: Pillow's as tensors and back, and prepared as the model's processor describes it.

Tensors are prepared here rather than by the processor, so that torchvision is not needed. Pillow, which the processor
would use, rounds and clips to 8 bits in between; this does not, and differs by 0.3 of an 8-bit level on average, on
noise.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from emu.errors import UserError

FILTERS = {2: "bilinear", 3: "bicubic"}  # Pillow's numbers, which processors keep, as torch calls them
AS_THEY_ARE = (0.0,) * 3, (1.0,) * 3  # mean and std


def to_tensor(picture: Image.Image, device: torch.device | str = "cpu") -> Tensor:
    """An RGB picture -> float (3,h,w) in [0,1]."""
    return torch.from_numpy(np.array(picture)).to(device).permute(2, 0, 1).float() / 255


def to_picture(image: Tensor) -> Image.Image:
    """float (3,h,w) in [0,1] on any device -> an RGB picture of 8 bits."""
    return Image.fromarray((image * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy())


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
    def of(cls, processor: Any, *, where: str) -> "Preprocessing":
        """What a transformers image processor is set to. UserError: a filter that torch does not have."""
        size, crop = processor.size, processor.crop_size
        if int(processor.resample) not in FILTERS:
            known = " or ".join(f"{number} ({name})" for number, name in FILTERS.items())
            raise UserError(
                f"{where}: resizes by Pillow's filter {int(processor.resample)}; name a model that does by {known}"
            )
        mean, std = (processor.image_mean, processor.image_std) if processor.do_normalize else AS_THEY_ARE
        return cls(
            size=size["shortest_edge"] if "shortest_edge" in size else (size["height"], size["width"]),
            crop=(crop["height"], crop["width"]) if processor.do_center_crop else None,
            filter=FILTERS[int(processor.resample)],
            mean=tuple(mean),
            std=tuple(std),
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
