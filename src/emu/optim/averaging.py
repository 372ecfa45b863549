"""The moving average of a network's weights, kept in float32 in a twin of the network.

It works on whatever part of the weights this process holds, so the twin may be sharded as the network is. It may lie in
the host's memory, from where it comes to the device to draw (`on_device`).
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

TOGETHER = 1 << 24  # numbers that travel to the host, or are subtracted, at once


def twin(network: nn.Module) -> nn.Module:
    """A copy whose trained parameters are its own, in float32, and whose frozen ones are those of `network`."""
    shared: dict[int, Any] = {
        id(p): nn.Parameter(p.detach().to(torch.float32, copy=True), requires_grad=False) if p.requires_grad else p
        for p in network.parameters()
    }
    return copy.deepcopy(network, shared).requires_grad_(False).eval()


def decay_at(step: int, decay: float) -> float:
    """The decay at optimizer step `step`, counted from 1: a young average forgets its start faster."""
    return min(decay, (1 + step) / (10 + step))


@torch.no_grad()
def update(average: nn.Module, live: nn.Module, *, decay: float) -> None:
    """average = decay * average + (1 - decay) * live, in place, of what trains; buffers are copied."""
    for means, weights in _alike(average, live):
        torch._foreach_lerp_(means, weights, 1 - decay)
    for mean, buffer in zip(average.buffers(), live.buffers(), strict=True):
        mean.copy_(buffer)


@torch.no_grad()
def squares(average: nn.Module, live: nn.Module) -> Tensor:
    """float (2,): sums of squares of the difference and of the live weights that train, of this process's part."""
    found = []
    for alike in _alike(average, live):
        for means, weights in _some(*alike):
            found.append(torch.stack([_square(torch._foreach_sub(means, weights)), _square(weights)]))
    return torch.stack(found).sum(0)


def _square(tensors: list[Tensor] | tuple[Tensor, ...]) -> Tensor:
    return torch.stack(torch._foreach_norm(tensors)).square().sum()


def trained(average: nn.Module, live: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """The average of each weight that trains, and the weight itself; of sharded ones this process's part."""
    both = zip(average.parameters(), live.parameters(), strict=True)
    means, weights = zip(*((mean, weight) for mean, weight in both if weight.requires_grad), strict=True)
    return [local(one) for one in means], [local(one) for one in weights]


def _alike(average: nn.Module, live: nn.Module) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """The same, some at a time: the weights in the average's dtype and where it lies."""
    means, weights = trained(average, live)
    if all((m.device, m.dtype) == (w.device, w.dtype) for m, w in zip(means, weights, strict=True)):
        yield means, weights
        return
    for some, theirs in _some(means, weights):
        moved = [w.to(m.device, non_blocking=True) for m, w in zip(some, theirs, strict=True)]
        if theirs[0].is_cuda and not moved[0].is_cuda:  # into memory that is pinned, and read by the host below
            torch.cuda.current_stream(theirs[0].device).synchronize()
        yield some, [w.to(m.dtype) for m, w in zip(some, moved, strict=True)]


def _some(means: list[Tensor], weights: list[Tensor]) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """Parts of both lists of about `TOGETHER` numbers: what is made of them is let go before the next."""
    begin = numbers = 0
    for i, weight in enumerate(weights, 1):
        numbers += weight.numel()
        if i == len(weights) or numbers >= TOGETHER:
            yield means[begin:i], weights[begin:i]
            begin, numbers = i, 0


def pin(average: nn.Module) -> None:
    """Let a GPU read the host's memory that the average lies in without a copy on the way."""
    for mean in average.parameters():
        if mean.device.type == "cpu":
            mean.data = mean.data.pin_memory()


@contextmanager
def on_device(average: nn.Module, live: nn.Module) -> Iterator[None]:
    """Inside, the average takes the live weights' place on their device, in their dtype; those wait on the host."""
    both = zip(average.parameters(), live.parameters(), strict=True)
    pairs = [(mean, mean.data, weight, weight.device) for mean, weight in both if weight.requires_grad]
    with torch.inference_mode(False):  # in which validation runs: what is made there cannot train any more
        for mean, host, weight, device in pairs:
            weight.data = weight.data.cpu()
            mean.data = host.to(device, weight.dtype, non_blocking=True)
    try:
        yield
    finally:
        with torch.inference_mode(False):
            for mean, host, weight, device in pairs:
                mean.data, weight.data = host, weight.data.to(device)


def local(tensor: Tensor) -> Tensor:
    """The tensor, of a sharded one this process's part."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor
