"""What an optimizer keeps for a parameter and takes for a moment, measured: it takes a step on a few small ones.

So it knows any optimizer, of torch, of torchao or bitsandbytes, or a user's own.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils._pytree import tree_leaves

from emu.optim import settings as optimizing
from emu.planning.footprint import Peak

ROWS = 64  # of a matrix: optimizers that keep numbers by rows and columns, or in blocks, do so with these too
LARGE = 1 << 23  # numbers, of which a parameter shows how a step goes through larger ones
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Cost:
    """Bytes that an optimizer keeps all the time, and those that a step needs beside them and the gradients."""

    kept: int
    step: int


def cost(make: Callable[[Iterable[Any]], Optimizer], weights: Sequence[Tensor], *, on_gpu: bool) -> Cost:
    """Of the optimizer that `make` builds over `weights`, of which only shapes and dtypes are read.

    `on_gpu`: those of torch's optimizers that have no fused step work on all weights at once, if not asked otherwise.
    """
    if not weights:
        return Cost(0, 0)
    small = {_shape(weight): nn.Parameter(torch.zeros(_shape(weight), dtype=weight.dtype)) for weight in weights}
    widest = max(small.values(), key=Tensor.numel)
    twins = [nn.Parameter(widest.detach().clone()) for _ in range(4)]
    optimizer = optimizing.fused(make(iter([*small.values(), *twins])))
    for group in optimizer.param_groups if on_gpu else ():
        if "foreach" in group and group["foreach"] is None and not group.get("fused"):
            group["foreach"] = True
    _step(optimizer, [*small.values(), *twins])  # begins what it keeps
    kept = sum(_kept(optimizer, small[_shape(weight)], weight) for weight in weights)
    # One after the other they take what two take, whose temporary tensors meet; all at once as much as there are.
    two, four = _step(optimizer, twins[:2]), _step(optimizer, twins)
    if four > 1.5 * two:
        return Cost(kept, round(four * sum(weight.numel() for weight in weights) / (4 * widest.numel())))
    return Cost(kept, _alone(make, max(weights, key=Tensor.numel)))


def _alone(make: Callable[[Iterable[Any]], Optimizer], largest: Tensor) -> int:
    """Bytes for a step of one parameter after the other: an optimizer may go through a large one in parts."""
    rows = max(1, LARGE // largest.shape[1:].numel())
    weight = nn.Parameter(torch.zeros((min(rows, len(largest)), *largest.shape[1:]), dtype=largest.dtype))
    optimizer = optimizing.fused(make(iter([weight])))
    _step(optimizer, [weight])
    return round(_step(optimizer, [weight]) * largest.numel() / weight.numel())


def _shape(weight: Tensor) -> Shape:
    shape = tuple(weight.shape)
    return (min(ROWS, shape[0]), *shape[1:]) if len(shape) > 1 else shape


def _step(optimizer: Optimizer, weights: Iterable[Tensor]) -> int:
    """Bytes beside weights, gradients and what is kept already."""
    for weight in weights:
        weight.grad = torch.full_like(weight, 1e-3)
    peak = Peak()
    with peak:
        optimizer.step()
    optimizer.zero_grad()
    return peak.most


def _kept(optimizer: Optimizer, small: Tensor, weight: Tensor) -> int:
    """What is kept for `small`, at the size of `weight`; single numbers, such as the count of steps, as they are."""
    tensors = [one for one in tree_leaves(optimizer.state[small]) if isinstance(one, Tensor)]
    scale = weight.numel() / small.numel()
    return sum(round(one.nbytes * (scale if one.numel() > 1 else 1)) for one in tensors)
