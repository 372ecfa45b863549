"""Pictures for judges, as Pillow has them and as judges take them."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def pictures(height: int, width: int, *, count: int = 4) -> list[Image.Image]:
    """Noise of full range: every filter, and each without antialiasing, gives another picture."""
    rng = np.random.default_rng(height)
    return [Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)) for _ in range(count)]


def tensor(images: list[Image.Image]) -> Tensor:
    return torch.from_numpy(np.stack([np.array(image) for image in images])).permute(0, 3, 1, 2).float() / 255
