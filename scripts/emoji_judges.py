"""The two judges of the emoji run: how fine a picture looks, and whether it fits its caption better than others.

Both are small networks over 32 x 32 pixels; `emoji_learning.py` says what they learned from, and how well they do on
pictures that they never saw.
"""

import hashlib
import json
from abc import abstractmethod
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from emu.judges import Judge
from emu.judges.world import SIDE, WorldReader
from emu.parts.text_encoder import words_of

WIDTH = 128  # of what pictures and captions are compared in


class Matcher(nn.Module):
    """Pictures and captions -> unit vectors, the same way where they belong together (CLIP, arXiv 2103.00020).

    A caption is the mean of its words; one of unknown words alone is the zero vector.
    """

    def __init__(self, words: list[str]) -> None:
        super().__init__()
        self.index = {word: i for i, word in enumerate(words)}
        self.pictures = WorldReader(WIDTH)
        self.words = nn.EmbeddingBag(len(words), WIDTH, mode="mean")
        self.log_scale = nn.Parameter(torch.tensor(2.0))

    def see(self, images: Tensor) -> Tensor:
        """float (b,3,h,w) in [0,1] -> (b, WIDTH)"""
        return F.normalize(self.pictures(images), dim=1)

    def read(self, captions: list[str]) -> Tensor:
        """b texts -> (b, WIDTH)"""
        known = [[self.index[word] for word in words_of(caption) if word in self.index] for caption in captions]
        offsets = torch.tensor([0, *map(len, known)]).cumsum(0)[:-1]
        flat = torch.tensor([i for ids in known for i in ids], dtype=torch.int64)
        return F.normalize(self.words(flat, offsets), dim=1)


class _Learned(Judge):
    """A judge whose weights and card lie in a folder as NAME.safetensors and NAME.json."""

    def __init__(self, folder: str) -> None:
        weights = Path(folder) / f"{self.name}.safetensors"
        self.card: dict[str, Any] = json.loads(weights.with_suffix(".json").read_text())
        self.network = self.build().eval().requires_grad_(False)
        self.network.load_state_dict(load_file(weights))
        self.sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()

    @abstractmethod
    def build(self) -> nn.Module:
        """The network without its weights."""

    def describe(self) -> dict[str, str | float]:
        preprocessing = f"antialiased bilinear to {SIDE} x {SIDE}, RGB in [-1, 1]"
        return {"name": self.name, "sha256": self.sha256, "preprocessing": preprocessing, **self.card["accuracy"]}


class Look(_Learned):
    """The probability that a picture is a fine 3D render and not another picture of the pool, 0 to 1."""

    name = "emoji-look"
    tie = 0.05

    def build(self) -> nn.Module:
        return WorldReader(1)

    @torch.inference_mode()
    def score(self, images: Tensor, prompts: list[str]) -> Tensor:
        return self.network(images.cpu()).sigmoid().flatten()


class Match(_Learned):
    """The share of the other prompts that fit the picture worse than its own, 0 to 1; by chance 0.5.

    A prompt of which no word is known scores 0.5, whatever the picture.
    """

    name = "emoji-match"
    tie = 0.05

    def build(self) -> nn.Module:
        return Matcher(self.card["words"])

    @torch.inference_mode()
    def score(self, images: Tensor, prompts: list[str]) -> Tensor:
        return rank(self.network, images.cpu(), prompts, among=self.card["prompts"])


def rank(matcher: nn.Module, images: Tensor, captions: list[str], *, among: list[str]) -> Tensor:
    """For each picture the share of the readable texts in `among` that fit it worse than its own: (b,) in [0,1]."""
    seen, own, others = matcher.see(images), matcher.read(captions), matcher.read(among)
    differs = torch.tensor([[text != caption for text in among] for caption in captions])
    counted = differs & others.any(1)
    worse = (seen @ others.T < (seen * own).sum(1, keepdim=True)) & counted
    share = worse.sum(1) / counted.sum(1)
    return torch.where(own.any(1), share, torch.full_like(share, 0.5))
