"""Prints of tensors: a few numbers by which a tensor is known again, and how far two prints are apart."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

Print = list[float]

PLACES = 32  # values of a tensor that its print has, evenly spread


def print_of(tensors: Sequence[Tensor]) -> Print:
    """Of each tensor its root mean square and `PLACES` of its values, with six digits; of integers the values alone."""
    return [number for tensor in tensors for number in _numbers(tensor)]


def _numbers(tensor: Tensor) -> list[float]:
    flat = tensor.detach().flatten()
    at = torch.linspace(0, len(flat) - 1, min(PLACES, len(flat))).long().to(flat.device)
    values = flat[at].double()
    if tensor.is_floating_point():
        values = torch.cat([flat.double().square().mean().sqrt().view(1), values])
    return [float(f"{value:.6g}") for value in values.tolist()]


def apart(now: Sequence[float], stored: Sequence[float]) -> float:
    """The distance of two prints over the size of the stored one; infinite where they are of other tensors.

    Of whole numbers, which are names (of tokens, codes), the share that differs.
    """
    if len(now) != len(stored):
        return math.inf
    if now and all(number.is_integer() for number in (*now, *stored)):
        return sum(one != other for one, other in zip(now, stored, strict=True)) / len(now)
    distance = math.dist(now, stored)
    return distance / (math.hypot(*stored) or 1.0) if math.isfinite(distance) else math.inf


def cosine(now: Sequence[float], stored: Sequence[float]) -> float:
    """1 where two series rise and fall together, -1 where one falls as the other rises, 0 where one is constant."""
    if len(now) != len(stored):
        return 0.0
    first, second = (torch.tensor(one, dtype=torch.float64) for one in (now, stored))
    first, second = first - first.mean(), second - second.mean()
    size = float(first.norm() * second.norm())
    return float(first @ second) / size if size else 0.0
