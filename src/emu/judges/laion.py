"""LAION-Aesthetics: small heads on CLIP embeddings that guess how people would rate a picture.

Both published forms are read: version 1, one linear layer (github.com/LAION-AI/aesthetic-predictor), and version 2,
five of them without activations (github.com/christophschuhmann/improved-aesthetic-predictor).
"""

import hashlib
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from emu.errors import UserError
from emu.judges.embedding import Embedder
from emu.judges.judge import Judge


class LaionAesthetic(Judge):
    """How high people would rate a picture, about 1 to 10, whatever its prompt.

    It may reject, and must never select alone: heads of this kind are known to prefer women, blurred backgrounds,
    softness and brightness, so a model tuned until this judge is content drifts there. Let people, or a judge of your
    own taste, confirm what it says; and do not let it judge pictures whose training set it has filtered.

    Args:
        head: the head's file, `.safetensors` or of torch. Raises UserError where it is neither version 1 nor 2.
        model: the CLIP model that the head was made for, by hub name or folder; loaded with the first picture.
    """

    name = "laion-aesthetic"
    tie = 0.05  # points of a scale on which people voted in whole ones

    def __init__(self, head: str, model: str = "openai/clip-vit-large-patch14") -> None:
        self.path = Path(head)
        self.head = read_head(self.path)
        self.embedder = Embedder(model)

    @torch.inference_mode()
    def score(self, images: Tensor, prompts: list[str]) -> Tensor:
        head = self.head.to(images.device)
        ratings: list[Tensor] = []
        for image in images:
            embedding = self.embedder.image(image)
            self._require_width(len(embedding))
            ratings.append(head(embedding)[0])
        return torch.stack(ratings)

    def describe(self) -> dict[str, str | float]:
        return {
            **self.embedder.describe(),
            "head": self.path.name,
            "sha256 of the head": hashlib.sha256(self.path.read_bytes()).hexdigest(),
        }

    def _require_width(self, width: int) -> None:
        wanted = next(self.head.parameters()).shape[1]
        if width != wanted:
            raise UserError(
                f"{self.path}: reads {wanted} numbers a picture, {self.embedder.name} gives {width}; "
                "name as `model` the CLIP that the head was made for"
            )


def read_head(path: Path) -> nn.Module:
    """A head of either version: (d,) of length 1 -> (1,). Raises UserError for any other file."""
    tensors = read_tensors(path)
    try:
        first, made = next((key, made) for key, made in VERSIONS.items() if key in tensors)
        with torch.device("meta"):  # no weights are drawn: that would move the seed of whatever is drawn next
            head = made(tensors[first].shape[1])
        head.load_state_dict(tensors, assign=True)
    except (StopIteration, TypeError, AttributeError, IndexError, RuntimeError) as error:
        raise UserError(
            f"{path}: neither version 1 (weight, bias) nor version 2 (layers.0.weight, ...) of LAION-Aesthetics"
        ) from error
    return head.float().eval().requires_grad_(False)


def read_tensors(path: Path) -> Any:
    """What a `.safetensors` file, or one of torch, holds; no code in it is run. Raises UserError for any other file."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, SafetensorError) as error:
        said = str(error).partition("\n")[0]
        raise UserError(f"{path}: not read as weights ({said}); name a head of LAION-Aesthetics") from error


def version_1(width: int) -> nn.Module:
    """One layer, with the keys of its file."""
    return nn.Linear(width, 1)


def version_2(width: int) -> nn.Module:
    """Five layers, with the keys of its file: where the original drops out in training, an identity keeps the count."""
    identity = nn.Identity()
    layers = [nn.Linear(width, 1024), identity, nn.Linear(1024, 128), identity, nn.Linear(128, 64), identity]
    return nn.Sequential(OrderedDict(layers=nn.Sequential(*layers, nn.Linear(64, 16), nn.Linear(16, 1))))


VERSIONS = {"weight": version_1, "layers.0.weight": version_2}  # told apart by a key that each alone has
