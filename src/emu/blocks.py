"""The blocks that a large network repeats: what is sharded, recomputed or compiled as one.

They are the members of its outermost `ModuleList`s. diffusers' own lists do not do: `_no_split_modules` is None for
UVit2DModel, and its `enable_gradient_checkpointing` crashes in diffusers 0.42.
"""

from collections.abc import Iterator
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint


def blocks(network: nn.Module) -> Iterator[nn.Module]:
    """Every block with parameters, in the order of the network's own modules."""
    for child in network.children():
        if isinstance(child, nn.ModuleList):
            yield from (member for member in child if any(True for _ in member.parameters()))
        else:
            yield from blocks(child)


def recompute(network: nn.Module) -> None:
    """Keep only what goes into each block, and compute its inside again on the way back: a third more computation.

    Names of parameters stay as they are, so checkpoints do too.
    """
    for block in blocks(network):
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)
