"""What a training step holds in memory at most, found by going through it with tensors that have no storage.

Notable: it counts what every operation makes and what is let go, so that what a network keeps for its way back, what
recomputing saves, and what encoders need for a moment are in it; a step of SDXL takes seconds on any machine.
"""

import weakref
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from emu.blocks import blocks
from emu.outline import Outline, count


@dataclass(frozen=True)
class Footprint:
    """Bytes on one device beside weights, moments and average."""

    encoding: int
    """Of a batch's pictures and captions, at most; without a cache."""

    step: int
    """Gradients and what is kept for the way back, at most at once."""


class Peak(TorchDispatchMode):
    """Counts the bytes of all tensors that live, as operations make them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self.seen = WeakIdKeyDictionary()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage())
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        if storage in self.seen:  # a view, or what was there before
            return
        self.seen[storage] = True
        self.now += storage.nbytes()
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._let_go, storage.nbytes())

    def _let_go(self, size: int) -> None:
        self.now -= size


def footprint(outline: Outline, *, batch: int, size: tuple[int, int], autocast: bool) -> Footprint:
    """Of a batch of `batch` pictures of `size` (height, width) on one device that holds the whole model.

    `autocast`: the network computes in bfloat16 on float32 weights.
    """
    model = outline.model
    precision: AbstractContextManager[Any] = torch.autocast("cpu", torch.bfloat16) if autocast else nullcontext()
    with outline.shapes(), Peak() as encoding, torch.no_grad():
        x = model.encode_images(torch.zeros(batch, 3, *size))
        cond = model.encode_prompts([outline.caption] * batch)
    with outline.shapes(), Peak() as step:
        cond["size"] = torch.zeros(batch, 6, dtype=torch.int64)
        for _ in range(2):  # the gradients of the last batch are there on the way forward: they add up, or go later
            with precision:
                loss = model.loss(x, cond).mean()
            loss.backward()
            del loss
    model.backbone.zero_grad()
    return Footprint(encoding.most, step.most)


def gathered(network: nn.Module, *, reshards: bool, half: bool) -> int:
    """Bytes of what FSDP2 puts together for a moment: weights of blocks, and gradients before they are parted.

    Args:
        reshards: weights are dropped between a block's forward and backward pass, and two blocks are there at a time.
        half: they are put together in bfloat16.
    """
    sizes = [count(block) for block in blocks(network)]
    rest, largest = count(network) - sum(sizes), max(sizes, default=0)
    weights = rest + (2 * largest if reshards else sum(sizes))
    return weights * (2 if half else 4) + 2 * 4 * max(rest, largest)
