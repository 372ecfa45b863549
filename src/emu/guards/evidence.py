"""What guards look at: numbers of the same prompts and seeds, drawn before and after. They never see a model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Numbers = NDArray[np.float32]


@dataclass(frozen=True)
class Side:
    """One side's pictures, in the order of the prompts; None where something was not measured.

    Args:
        colours: float32 (n,3), as `looks.colours` has them.
        features: float32 (n,d); the Euclidean distance of two is how far the pictures are apart.
        scores: criterion -> n scores, NaN where a pair cannot be judged by it.
        losses: float32 (m,) of the held-out pictures, in the order of their times.
        files: the n pictures; empty where they are not at hand.
    """

    colours: Numbers | None = None
    features: Numbers | None = None
    scores: Mapping[str, Sequence[float]] = field(default_factory=dict)
    losses: Numbers | None = None
    files: Sequence[Path] = ()


@dataclass(frozen=True)
class Training:
    """The curated set: features float32 (t,d), and of each picture its name, caption and a way to see it."""

    features: Numbers
    names: Sequence[str]
    captions: Sequence[str]
    show: Sequence[Callable[[], Image.Image]]


@dataclass(frozen=True)
class Evidence:
    """Both sides of n pairs.

    Args:
        prompts: of each pair; pairs of one prompt have several seeds.
        groups: of each pair, column -> the category that its prompt is in.
        ties: criterion -> the judge's tie.
        times: float32 (m,) in [0,1) of the held-out pictures.
        training: None where the curated set is not at hand.
        without_training: why it is not.
        features: what the features are, in words.
    """

    prompts: Sequence[str]
    before: Side
    after: Side
    groups: Sequence[Mapping[str, str]] = ()
    ties: Mapping[str, float] = field(default_factory=dict)
    times: Numbers | None = None
    training: Training | None = None
    without_training: str = "no folder of training pictures was named"
    features: str = ""
