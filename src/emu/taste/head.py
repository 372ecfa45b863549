"""The head as a file: `taste.safetensors`, weight and bias; a card in its metadata says whose taste it is."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from scipy.special import expit

from emu import files
from emu.errors import UserError
from emu.records import parse
from emu.taste.logistic import Logistic

HEAD = "taste.safetensors"
CARD = "emu-taste"


@dataclass(frozen=True)
class Head:
    """P(kept) = 1 / (1 + exp(-(weight . x + bias))) for an embedding x (d,).

    Args:
        card: `embedder` as it was given, its `identity`, its own card, what was held out, how many decisions.
    """

    weight: NDArray[np.float64]
    bias: float
    card: dict[str, Any]

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,d) -> (n,) in [0,1]."""
        found: NDArray[np.float64] = expit(x @ self.weight + self.bias)
        return found


def write_head(path: Path, fitted: Logistic, card: dict[str, Any]) -> None:
    """Whole or not there."""
    tensors = {"weight": fitted.weight, "bias": np.array([fitted.bias])}
    files.write(path, save(tensors, metadata={CARD: json.dumps(card, sort_keys=True)}), alone=True)


def read_head(path: Path) -> Head:
    """UserError: no head of `emu taste`."""
    try:
        with safe_open(path, framework="np") as file:
            said = (file.metadata() or {}).get(CARD)
            if said is None:
                raise UserError(f"{path}: not a head of emu taste; name the {HEAD} of a folder")
            card = parse(said, dict[str, Any], where=str(path), remedy="make it again with emu taste")
            return Head(file.get_tensor("weight"), float(file.get_tensor("bias")[0]), card)
    except (OSError, SafetensorError, ValueError) as error:
        said = str(error).partition("\n")[0]
        raise UserError(f"{path}: cannot be read ({said}); name the {HEAD} of a folder, made by emu taste") from None
