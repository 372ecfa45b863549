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
            # A middle without attention has a list of None, as that of aMUSEd's tokenizer.
            yield from (member for member in child if member is not None and any(True for _ in member.parameters()))
        else:
            yield from blocks(child)


def recompute(network: nn.Module) -> None:
    """Keep only what goes into each block, and compute its inside again on the way back: a third more computation.

    A block that is hardly more than lists of smaller ones, as those of a U-Net are, is gone into: its inside is as
    large as what all other blocks keep. Names of parameters stay as they are, so checkpoints do too.
    """
    for block in blocks(network):
        for part in _parts(block):
            part.forward = partial(checkpoint, part.forward, use_reentrant=False)


def _parts(block: nn.Module) -> Iterator[nn.Module]:
    inner = list(blocks(block))
    if sum(map(_size, inner)) < 0.9 * _size(block):
        yield block
        return
    for part in inner:
        yield from _parts(part)


def _size(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())
