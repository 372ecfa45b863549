"""Small pictures as tensors, and what CLIP or SigLIP sees in them: for stages with models.

Nothing here imports torch before a picture is there to be looked at.
"""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Protocol

import numpy as np

from emu.bundled import SCHEME
from emu.curate.picture import Picture

if TYPE_CHECKING:
    from torch import Tensor

SIDE = 448  # pixels: larger pictures are scaled down to it before a model's own preprocessing


def tensors(pictures: Sequence[Picture], side: int) -> list["Tensor"]:
    """float (3,h,w) in [0,1] each, sides no shorter than `side` if the picture's are not; on a GPU if there is one."""
    import torch

    one_thread()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    arrays = [np.array(picture.small(side)) for picture in pictures]
    return [torch.from_numpy(array).to(device).permute(2, 0, 1).float() / 255 for array in arrays]


def one_thread() -> None:
    """Each worker has one core. Called where something is measured: what starts the workers keeps its threads."""
    import torch

    torch.set_num_threads(1)


class Looks(Protocol):
    """What sees pictures, such as `emu.judges.embedding.Embedder`."""

    def images(self, images: Sequence["Tensor"]) -> "Tensor":
        """float (3,h,w) in [0,1] each -> (b,d) of length 1 each."""

    def require(self) -> None:
        """UserError where there is no such model."""


@cache
def embedder(model: str) -> Looks:
    """One a worker, whichever stages ask for it."""
    if model.startswith(SCHEME):
        from emu.judges.world import WorldLooks

        return WorldLooks(model)
    from emu.judges.embedding import Embedder

    return Embedder(model)


def embeddings(model: str, pictures: Sequence[Picture], *, views: int = 1) -> "Tensor":
    """(b,d) of length 1 each, on the CPU. Pictures that another stage has had seen are not looked at again.

    views: 2 for the mean with the mirror image, 8 for that of all turns and mirrors.
    """
    import torch

    key = f"{model} {views}"
    if unseen := [picture for picture in pictures if key not in picture.embeddings]:
        images = tensors(unseen, SIDE)
        seen = sum(embedder(model).images([_view(image, view) for image in images]).cpu() for view in range(views))
        for picture, one in zip(unseen, torch.nn.functional.normalize(torch.as_tensor(seen), dim=1), strict=True):
            picture.embeddings[key] = one
    return torch.stack([picture.embeddings[key] for picture in pictures])


def _view(image: "Tensor", view: int) -> "Tensor":
    """One of the eight turns and mirrors of (3,h,w); 0 is the picture itself, 1 its mirror image."""
    turned = image.rot90(view // 2, (1, 2))
    return turned.flip(2) if view % 2 else turned
