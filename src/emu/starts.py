"""The pictures that prompts start from, for models that make a picture of a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from emu.errors import UserError, first_line

COLUMN = "image"
"""The column of a prompt file that names a prompt's picture."""


def of_rows(rows: Sequence[Mapping[str, Any]]) -> Tensor:
    """The pictures of rows of a prompt file, float (b,3,h,w) in [-1,1]. UserError: none, or of several sizes."""
    pictures = [read(row) for row in rows]
    if len(sizes := {picture.size for picture in pictures}) > 1:
        raise UserError(f"prompts start from pictures of {len(sizes)} sizes; draw one at a time (--batch-size 1)")
    return tensor(pictures)


def size(row: Mapping[str, Any]) -> tuple[int, int] | None:
    """Width and height of the picture of a row, by its header; None where it has none that can be read."""
    path = row.get(COLUMN)
    if isinstance(path, Image.Image):
        return path.size
    try:
        with Image.open(Path(str(path))) as picture:
            return picture.size
    except (OSError, SyntaxError, ValueError):  # as in `read`, which says so where the picture is asked for
        return None


def tensor(pictures: Sequence[Image.Image]) -> Tensor:
    """RGB pictures of one size -> float (b,3,h,w) in [-1,1]."""
    return torch.from_numpy(np.stack([np.asarray(one) for one in pictures])).permute(0, 3, 1, 2) / 127.5 - 1


def read(row: Mapping[str, Any]) -> Image.Image:
    """A row's picture, in RGB, opened if it is not yet. UserError: it has none, or it cannot be read."""
    path = row.get(COLUMN)
    if isinstance(path, Image.Image):
        return path.convert("RGB")
    if not isinstance(path, str) or not path:
        raise UserError(
            "the model starts from a picture: give the folder that `emu sample` drew for its base, or a prompt file "
            f"with a column {COLUMN!r}"
        )
    try:
        with Image.open(Path(path)) as picture:
            return picture.convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:  # SyntaxError: Pillow's word for a broken PNG
        raise UserError(f"{path}: no picture that can be read ({first_line(error)})") from None
