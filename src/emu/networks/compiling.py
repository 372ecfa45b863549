"""torch.compile, block by block: an option of the model, which falls back to what it was where it fails.

Notable: blocks of one kind, of the same class and sizes, share their graphs, and no block shares one with another kind:
else the first picture of a U-Net, whose blocks differ in size, would look to the compiler like pictures of many sizes.
A second size of picture makes sizes symbolic, so that there are two graphs a kind however many buckets there are.
"""

import logging
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch._dynamo.exc import TorchDynamoException
from torch.utils._pytree import tree_leaves

from emu.errors import first_line
from emu.networks.blocks import blocks

log = logging.getLogger(__name__)

BACKEND = "inductor"
MOST_GRAPHS = 64
"""Of one kind of block: training, held-out losses and drawing each have their own, and none is to fall back unsaid."""


def compile_blocks(*networks: nn.Module) -> None:
    """Compile each block of `networks`, alike or not, when it first runs; names of parameters stay as they are.

    Where compiling fails, all of them go on uncompiled, and a warning says why, once.
    """
    torch._dynamo.config.recompile_limit = max(MOST_GRAPHS, torch._dynamo.config.recompile_limit)
    torch._dynamo.config.fail_on_recompile_limit_hit = True  # else the compiler would give up without a word
    torch._functorch.config.force_non_lazy_backward_lowering = True  # else the way back fails where nothing catches it
    torch._inductor.config.strict_output_strides = True  # else views of symbolic sizes are not compiled (torch 2.14)
    warnings.filterwarnings("ignore", r"The \.grad attribute of a Tensor that is not a leaf")  # its own looks
    whole = _Compiler()
    for network in networks:
        for block in blocks(network):
            block.forward = whole.compiled(block)


class _Compiler:
    """What is compiled, until something is not."""

    def __init__(self) -> None:
        self.kinds: dict[Any, _Kind] = {}
        self.failed = False

    def compiled(self, block: nn.Module) -> Callable[..., Any]:
        """The block's `forward`, compiled where that works."""
        sizes = tuple((name, weight.shape) for name, weight in block.named_parameters())
        kind = self.kinds.setdefault((type(block), sizes), _Kind(len(self.kinds)))
        forward = block.forward

        def run(*given: Any, **named: Any) -> Any:
            if not self.failed:
                try:
                    return kind(forward, given, named)
                except TorchDynamoException as error:
                    self.failed = True
                    reason = first_line(getattr(error, "inner_exception", error))
                    log.warning("model.compile_blocks: goes on without, as torch.compile fails here: %s", reason)
            return forward(*given, **named)

        return run


class _Kind:
    """Blocks of one class and of weights of the same sizes."""

    def __init__(self, number: int) -> None:
        def call(forward: Callable[..., Any], given: tuple[Any, ...], named: dict[str, Any]) -> Any:
            return forward(*given, **named)

        # The compiler keeps its books by a function's code and name: what it learns of one kind is not of another.
        call.__code__ = call.__code__.replace(co_name=f"block_{number}")
        self.call = torch.compile(call, backend=BACKEND)
        self.first: dict[bool, list[torch.Size]] = {}  # sizes of the first tensors, in training or not
        self.varies: set[bool] = set()

    def __call__(self, forward: Callable[..., Any], given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        tensors = [one for one in tree_leaves((given, named)) if isinstance(one, Tensor)]
        sizes, training = [one.shape for one in tensors], torch.is_grad_enabled()
        if self.first.setdefault(training, sizes) != sizes:
            self.varies.add(training)
        for one in tensors if training in self.varies else ():
            for axis in range(one.ndim):
                torch._dynamo.maybe_mark_dynamic(one, axis)  # by itself it would take one axis at a time, a graph each
        return self.call(forward, given, named)
