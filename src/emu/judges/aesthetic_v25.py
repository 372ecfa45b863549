"""Aesthetic Predictor v2.5: a head on SigLIP embeddings that guesses how people would rate a picture.

Only the published head's file is read (github.com/discus0434/aesthetic-predictor-v2-5): five layers without
activations, as in LAION's version 2, under other keys and on other embeddings.
"""

from collections import OrderedDict

from torch import nn

from emu.judges.laion import LaionAesthetic


def version_2_5(width: int) -> nn.Module:
    """Five layers with the keys of its file; an identity stands for each dropout."""
    sizes = (width, 1024, 128, 64, 16, 1)
    layers = [layer for before, after in zip(sizes, sizes[1:], strict=False)
              for layer in (nn.Linear(before, after), nn.Identity())]  # fmt: skip
    return nn.Sequential(OrderedDict(scoring_head=nn.Sequential(*layers[:-1])))


class AestheticV25(LaionAesthetic):
    """How high people would rate a picture, about 1 to 10, whatever its prompt; above 5.5 is said to be great.

    It knows drawings better than LAION's heads, and is of their kind: it may reject, and must never select alone.

    Args:
        head: the head's file. Raises UserError where it is no head of this version.
        model: the SigLIP model that the head was made for, by hub name or folder; loaded with the first picture.
        sha256, model_sha256: that the head's file and the model's weights must have; others are refused.
    """

    name = "aesthetic-v2.5"
    layouts = {"scoring_head.0.weight": version_2_5}
    wanted = "version 2.5 (scoring_head.0.weight, ...) of Aesthetic Predictor nor any other head on SigLIP"

    def __init__(
        self,
        head: str,
        model: str = "google/siglip-so400m-patch14-384",
        *,
        sha256: str | None = None,
        model_sha256: str | None = None,
    ) -> None:
        super().__init__(head, model, sha256=sha256, model_sha256=model_sha256)
