"""A picture -> the tensor of its bucket's shape, and what SDXL is conditioned on beside it."""

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from emu.data.buckets import Bucket

if TYPE_CHECKING:  # imported where tensors are made: who looks at pictures alone does not pay for it
    from torch import Tensor

PREPROCESSING = "lanczos-centre-3"  # part of a cached picture's key: change it whenever the pixels of `fit` change

MOST = 4  # times its shape that a picture is scaled to before most of it is cut away


def fit(image: Image.Image, bucket: Bucket) -> "Tensor":
    """Scale the picture to cover the bucket and cut out the centre: float32 (3,h,w) in [-1,1]."""
    height, width = bucket
    import torch

    (scaled_height, scaled_width), top, left = _cover(image.height, image.width, bucket)
    across, down = image.width / scaled_width, image.height / scaled_height
    # Only what stays is scaled: all of a banner of 50,000 x 100 pixels would be 26 times as large as the banner.
    box = (left * across, top * down, (left + width) * across, (top + height) * down)
    pixels = np.array(image.resize((width, height), Image.Resampling.LANCZOS, box=box))
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous().float() / 127.5 - 1


def fit_quickly(image: Image.Image, bucket: Bucket, size: tuple[int, int]) -> "Tensor":
    """As `fit`, in a fourth of its time: bicubic in place of Lanczos, half an 8-bit level apart in the mean.

    `size`: height and width of the picture, which may have been scaled while it was decoded.
    """
    import torch
    from torch.nn.functional import interpolate

    (height, width), top, left = _cover(*size, bucket)
    if height * width > MOST * bucket[0] * bucket[1]:
        return fit(image, bucket)  # which scales what stays alone
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    if pixels.shape[1:] != (height, width):
        pixels = interpolate(pixels[None], size=(height, width), mode="bicubic", antialias=True)[0]
    kept = pixels[:, top : top + bucket[0], left : left + bucket[1]]
    return kept.contiguous().float().div_(127.5).sub_(1)


def micro_conditioning(height: int, width: int, bucket: Bucket) -> "Tensor":
    """What SDXL and aMUSEd are conditioned on, of a picture that `fit` made: int64 (6,).

    Original height, original width, crop top, crop left (in pixels of the scaled picture), height, width.
    """
    import torch

    _, top, left = _cover(height, width, bucket)
    return torch.tensor([height, width, top, left, *bucket])


def _cover(height: int, width: int, bucket: Bucket) -> tuple[tuple[int, int], int, int]:
    """The least scaled (height, width) that covers the bucket, and top and left of the centre."""
    scale = max(bucket[0] / height, bucket[1] / width)
    scaled = max(bucket[0], round(height * scale)), max(bucket[1], round(width * scale))
    return scaled, (scaled[0] - bucket[0]) // 2, (scaled[1] - bucket[1]) // 2
