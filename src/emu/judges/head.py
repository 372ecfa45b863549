"""People's own taste as a file: a head on an embedder's vectors, with a card that says whose taste it is.

`emu taste` fits and writes it, a stage of the next funnel reads it.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from scipy.special import expit

from emu.errors import UserError, first_line
from emu.judges.judge import Card
from emu.layouts.curated_folder import HEAD
from emu.storage import files
from emu.storage.records import parse

CARD = "emu-taste"
HeadCard = TypedDict(
    "HeadCard",
    {
        "embedder": str,  # as it was given
        "identity": str,  # its fingerprint
        "eye": Card,
        "pass": str | None,  # of the review, whose votes it learned from; None where it learned from all
        "held out": dict[str, float | list[float]],  # as `emu.taste.held_out.Skill`
        "penalty": float,
    },
)


@dataclass(frozen=True)
class Head:
    """P(kept) = 1 / (1 + exp(-(weight . x + bias))) for an embedding x (d,)."""

    weight: NDArray[np.float64]
    bias: float
    card: HeadCard

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,d) -> (n,) in [0,1]."""
        found: NDArray[np.float64] = expit(x @ self.weight + self.bias)
        return found


def write_head(path: Path, head: Head) -> None:
    """Whole or not there."""
    tensors = {"weight": head.weight, "bias": np.array([head.bias])}
    files.write(path, save(tensors, metadata={CARD: json.dumps(head.card, sort_keys=True)}), alone=True)


def read_head(path: Path) -> Head:
    """UserError: no head of `emu taste`."""
    try:
        with safe_open(path, framework="np") as file:
            said = (file.metadata() or {}).get(CARD)
            if said is None:
                raise UserError(f"{path}: not a head of emu taste; name the {HEAD} of a folder")
            card = parse(said, HeadCard, where=str(path), remedy="make it again with emu taste")
            return Head(file.get_tensor("weight"), float(file.get_tensor("bias")[0]), card)
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError(
            f"{path}: cannot be read ({first_line(error)}); name the {HEAD} of a folder, made by emu taste"
        ) from None
