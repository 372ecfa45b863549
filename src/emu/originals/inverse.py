"""diffusers' conversion of published weights, run backwards.

Notable: nothing here knows how a conversion splits, swaps or reshapes. Tensors whose every element is a number of its
own go through diffusers' own function, and where the numbers come out says how to put a published tensor together.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

Convert = Callable[[dict[str, Tensor]], Mapping[str, Tensor]]
Form = Literal["same", "transposed", "flat", "convolution"]

ELEMENTS = 2**32  # more than any tagged tensor has


@dataclass(frozen=True)
class Piece:
    """Rows of diffusers' tensor `name`: from `start` to `stop`, as fractions of all of them."""

    name: str
    start: Fraction = Fraction(0)
    stop: Fraction = Fraction(1)

    def of(self, tensor: Tensor) -> Tensor:
        """The rows of that tensor."""
        rows = len(tensor)
        return tensor[int(rows * self.start) : int(rows * self.stop)]


@dataclass(frozen=True)
class Original:
    """How a published tensor is made of diffusers': pieces one below the other, and then brought into its form."""

    pieces: tuple[Piece, ...]
    form: Form = "same"


@dataclass(frozen=True)
class Guess:
    """A name that may be a published one, and a shape to try it with."""

    name: str
    shape: tuple[int, ...]


def inverse(guesses: Iterable[Guess], convert: Convert, names: Iterable[str]) -> dict[str, Original]:
    """Published name -> how it is made of diffusers' tensors, which are `names`.

    A guess that makes none of them is left out. Raises ValueError where one of `names` is made by no guess, and where
    a published tensor holds what none of them does.
    """
    tried, wanted = list(guesses), set(names)
    tags = {guess.name: _tags(number, guess.shape) for number, guess in enumerate(tried)}
    cut: dict[str, dict[str, Tensor]] = {}  # published -> what of diffusers' is cut from it
    for name, tensor in convert(dict(tags)).items():
        if name in wanted:
            cut.setdefault(tried[int(tensor.flatten()[0]) // ELEMENTS].name, {})[name] = tensor
    missing = sorted(wanted.difference(*cut.values()))
    if missing:
        raise ValueError(f"diffusers' conversion makes no {missing[0]}, nor {len(missing) - 1} others")
    return {name: _original(tags[name], parts) for name, parts in cut.items()}


def _tags(number: int, shape: tuple[int, ...]) -> Tensor:
    """int64 of this shape, every element a number that no other tensor has."""
    return torch.arange(torch.Size(shape).numel()).reshape(shape) + number * ELEMENTS


def _original(tags: Tensor, parts: Mapping[str, Tensor]) -> Original:
    """Of the tags of a published tensor and of what a conversion made of it."""
    some = next(iter(parts.values()))
    form: Form = "same"
    if tags.ndim == 1 and some.ndim == 2:  # rows of diffusers' lie one behind the other
        return Original(tuple(map(Piece, parts)), "flat")
    if tags.ndim == 4 and some.ndim == 2:
        form = "convolution"
    elif tags.ndim == 2 and torch.equal(some, tags.T):
        form, tags = "transposed", tags.T
    first, width = int(tags.flatten()[0]), int(tags.stride(0))
    owner, row = (torch.full((len(tags),), -1) for _ in range(2))
    for number, tensor in enumerate(parts.values()):
        places = (tensor.reshape(len(tensor), -1)[:, 0] - first) // width
        owner[places], row[places] = number, torch.arange(len(tensor))
    if (owner < 0).any():
        raise ValueError(f"diffusers' conversion makes more of a tensor than {', '.join(parts)}")
    return Original(tuple(_pieces(owner, row, parts)), form)


def _pieces(owner: Tensor, row: Tensor, parts: Mapping[str, Tensor]) -> Iterator[Piece]:
    """Of each row of a published tensor: which of `parts` holds it, and in which of its own rows."""
    breaks = (owner.diff() != 0) | (row.diff() != 1)
    starts = [0, *(breaks.nonzero().flatten() + 1).tolist(), len(owner)]
    named = list(parts.items())
    for start, stop in pairwise(starts):
        name, tensor = named[int(owner[start])]
        yield Piece(name, Fraction(int(row[start]), len(tensor)), Fraction(int(row[stop - 1]) + 1, len(tensor)))
