"""The moving average of a network's weights, kept in a twin of the network.

It works on whatever part of the weights this process holds, so the twin may be sharded as the network is.
"""

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor


def decay_at(step: int, decay: float) -> float:
    """The decay at optimizer step `step`, counted from 1: a young average forgets its start faster."""
    return min(decay, (1 + step) / (10 + step))


@torch.no_grad()
def update(average: nn.Module, live: nn.Module, *, decay: float) -> None:
    """average = decay * average + (1 - decay) * live, in place, of what trains; buffers are copied."""
    torch._foreach_lerp_(*trained(average, live), 1 - decay)
    for mean, buffer in zip(average.buffers(), live.buffers(), strict=True):
        mean.copy_(buffer)


@torch.no_grad()
def squares(average: nn.Module, live: nn.Module) -> Tensor:
    """float (2,): sums of squares of the difference and of the live weights that train, of this process's part."""
    means, parts = trained(average, live)
    difference = torch._foreach_sub(means, parts)
    return torch.stack([torch.stack(torch._foreach_norm(some)).square().sum() for some in (difference, parts)])


def trained(average: nn.Module, live: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """The average of each weight that trains, and the weight itself; of sharded ones this process's part."""
    both = zip(average.parameters(), live.parameters(), strict=True)
    means, weights = zip(*((mean, weight) for mean, weight in both if weight.requires_grad), strict=True)
    return [local(one) for one in means], [local(one) for one in weights]


def local(tensor: Tensor) -> Tensor:
    """The tensor, of a sharded one this process's part."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor
