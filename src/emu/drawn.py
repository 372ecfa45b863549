"""Drawn pictures on their way to 8 bits: what is not finite is no picture, and what is black all over counts as none.

Why the two differ: a number that is not finite is always a fault, and becomes a black pixel without a word. A black
picture may be one (a safety checker's, a decoder that overflowed in another tool) or be what the prompt asked for; it
is never evidence of quality, so it is named, counted and kept out of verdicts, and a long run does not end for it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from emu.errors import UserError, printable

if TYPE_CHECKING:  # comparing folders asks whether pictures are black, and takes no torch for it
    from torch import Tensor

LARGEST_BLACK = 65_536
"""Bytes of a black PNG of 4096 x 4096 pixels, about: a larger file is not opened to see whether it is black."""


def to_pixels(images: "Tensor", prompts: Sequence[str]) -> "Tensor":
    """float (b,3,h,w) in [0,1] -> uint8 (b,3,h,w); UserError that names the prompt of one that is not finite."""
    require_finite(images, [f"the picture of {prompt!r}" for prompt in prompts], "the model drew")
    return (images.float() * 255).round().clamp(0, 255).byte()


def on_white(images: "Tensor") -> "Tensor":
    """float (b,3,h,w) in [0,1] as they are; of (b,4,h,w) the last is opacity, and what is transparent shows white.

    So do transparent pictures of a curated set (`emu.data.srgb`).
    """
    if images.shape[1] == 3:
        return images
    opacity = images[:, 3:]
    return images[:, :3] * opacity + 1 - opacity


def require_finite(values: "Tensor", names: Sequence[str], doing: str) -> None:
    """Raise UserError where a row of `values` (b,...) holds what is no finite number."""
    finite = values.isfinite().flatten(1).all(dim=1)  # one number a row comes to the host
    for name, ok in zip(names, finite.tolist(), strict=True):
        if not ok:
            raise UserError(
                f"{printable(name)}: {doing} numbers that are not finite; look at the weights, or compute in "
                "float32 or bfloat16 where float16 overflows (--trainer.precision)"
            )


def black(pixels: "Tensor") -> list[bool]:
    """Whether each picture of uint8 (b,3,h,w) is black all over."""
    found: list[bool] = (pixels.flatten(1).amax(dim=1) == 0).tolist()
    return found


def is_black(path: Path) -> bool:
    """Whether a file holds a picture that is black all over; False where it cannot be read, which others say.

    What is transparent shows white, so that black ink on a clear ground is a drawing.
    """
    try:
        if path.stat().st_size > LARGEST_BLACK:
            return False
        with Image.open(path) as picture:
            clear = picture.has_transparency_data and picture.convert("RGBA").getchannel("A").getextrema() != (255, 255)
            return not clear and picture.convert("RGB").getbbox() is None
    except (OSError, SyntaxError, ValueError):  # SyntaxError: Pillow's word for a broken PNG
        return False
