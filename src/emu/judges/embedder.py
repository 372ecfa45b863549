"""What turns pictures, and with some models texts, into vectors: the nearer two are, the more alike what they show.

Everything that compares pictures by what is in them takes one: near duplicates, concepts, sets against sets, copies of
the training set, taste. `--embedder` and `embedder:` name it everywhere, as `load` reads it.
"""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from emu import answers
from emu.class_paths import named
from emu.class_paths.code import own_code
from emu.judges.judge import Card
from emu.judges.preprocessing import to_tensor

CLIP = "emu.judges.clip.Clip"
SIDE = 448  # pixels: larger pictures of a haystack are scaled down before an embedder prepares them


class Embedder(ABC):
    """Pictures -> vectors. A subclass gives `images` and `describe`."""

    @abstractmethod
    def images(self, images: Sequence[Tensor]) -> Tensor:
        """b pictures, float (3,h,w) in [0,1], of any sizes but on one device -> float (b,d) there.

        The last bits of a vector may depend on what goes together: where verdicts are made, pictures come alone.
        """

    @abstractmethod
    def describe(self) -> Card:
        """What decides the vectors: `model`, the `sha256` of its weights, `preprocessing`, `versions`."""

    def require(self) -> None:  # noqa: B027 - many have all that they need once they are made
        """UserError where a model that is loaded later is not there, or of another kind; weights are not looked at."""

    @property
    def name(self) -> str:
        """How reports call its vectors."""
        return f"embeddings of {self._described().get('model', type(self).__name__)}"

    @property
    def fingerprint(self) -> str:
        """16 digits that change with the weights, the preprocessing or the code of a class outside of emu.

        Not with the versions that ran them.
        """
        card = {key: value for key, value in self._described().items() if key in ("sha256", "preprocessing")}
        code = [own] if (own := own_code(type(self))) else []
        return hashlib.sha256(json.dumps([card, SIDE, *code], sort_keys=True).encode()).hexdigest()[:16]

    def _described(self) -> Card:
        given: Any = self.describe()
        if not isinstance(given, dict):
            raise answers.refuse(self, "describe", given, "a dict of words and numbers")
        return given

    def vectors(self, images: Sequence[Tensor]) -> Tensor:
        """What `images` gives. UserError: it is not a finite vector a picture."""
        wanted = f"a vector a picture, float ({len(images)}, d) of finite numbers"
        found = answers.tensor(self.images(images), self, "images", wanted, rows=len(images))
        if found.ndim != 2 or not bool(found.isfinite().all()):
            raise answers.refuse(self, "images", found, wanted)
        return found

    def see(self, picture: Image.Image, *, device: str = "cpu") -> NDArray[np.float32]:
        """An RGB picture by itself -> (d,)."""
        seen: NDArray[np.float32] = self.vectors([to_tensor(picture, device)])[0].float().cpu().numpy()
        return seen


class TextEmbedder(Embedder):
    """Pictures and texts -> vectors of length 1 in one space: the more a text fits a picture, the larger the cosine."""

    @abstractmethod
    def texts(self, texts: Sequence[str]) -> Tensor:
        """b texts -> float (b,d), on the device of the last pictures."""


def load(given: str, *, where: str, typed: bool = False) -> Embedder:
    """CLASS_PATH[:ARG][,NAME=VALUE] of an `Embedder`, or a hub name or folder of CLIP or SigLIP. UserError: neither.

    where, typed: as for `emu.class_paths.named.make`.
    """
    return named.make(given, Embedder, where=where, like=f"{CLIP}:MODEL", bare=CLIP, typed=typed)
