"""Small pictures as tensors, and what an embedder sees in them: for stages with models.

Nothing here imports torch before a picture is there to be looked at.
"""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from emu.curate.picture import Picture

if TYPE_CHECKING:
    from torch import Tensor

    from emu.judges import Embedder

SIDE = 448  # pixels: larger pictures are scaled down to it, as `emu.judges.embedder.SIDE`, which imports torch


def tensors(pictures: Sequence[Picture], side: int) -> list["Tensor"]:
    """float (3,h,w) in [0,1] each, sides no shorter than `side` if the picture's are not; on a GPU if there is one."""
    import torch

    from emu.judges.preprocessing import to_tensor

    one_thread()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return [to_tensor(picture.small(side), device) for picture in pictures]


def one_thread() -> None:
    """Each worker has one core. Called where something is measured: what starts the workers keeps its threads."""
    import torch

    torch.set_num_threads(1)


@cache
def load_embedder(given: str) -> "Embedder":
    """One a worker, whichever stages ask for it; `given` as `emu.judges.embedder.load` reads it."""
    from emu.judges.embedder import load

    return load(given, where="embedder:")


def embeddings(given: str, pictures: Sequence[Picture], *, views: int = 1) -> "Tensor":
    """(b,d) on the CPU, by the embedder of that name. What another stage has had it see is not looked at again.

    views: 2 for the mean with the mirror image, 8 for that of all turns and mirrors, of length 1.
    """
    import torch

    key = f"{given} {views}"
    if unseen := [picture for picture in pictures if key not in picture.embeddings]:
        embedder, images = load_embedder(given), tensors(unseen, SIDE)
        seen = torch.stack([embedder.vectors([_view(image, view) for image in images]).cpu() for view in range(views)])
        together = seen[0] if views == 1 else torch.nn.functional.normalize(seen.sum(0), dim=1)
        for picture, one in zip(unseen, together, strict=True):
            picture.embeddings[key] = one
    return torch.stack([picture.embeddings[key] for picture in pictures])


def _view(image: "Tensor", view: int) -> "Tensor":
    """One of the eight turns and mirrors of (3,h,w); 0 is the picture itself, 1 its mirror image."""
    turned = image.rot90(view // 2, (1, 2))
    return turned.flip(2) if view % 2 else turned
