"""Tensors without values, only shapes, except what is small or of whole numbers and not too many, which is computed.

Tokens, masks and lengths decide shapes, and a scheduler's few noise levels decide what a pipeline does next: with them,
encoders whose shapes depend on data and whole calls of pipelines go through too. Notable: where values are not known
and decide a shape all the same, as a mask of floats does, the shape is the largest that there can be.
"""

from math import prod
from typing import Any, Self

import torch
from torch import Tensor

# Plain meta tensors do not do: transformers asks a mask of them for its values.
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

FEW = 4096  # numbers: a schedule of a thousand steps, and no picture
MANY = 1 << 24  # numbers: masks of pairs of tokens, of texts and not of pictures, which Chroma makes in every block

ATEN = torch.ops.aten
NEW = (ATEN.new_zeros.default, ATEN.new_ones.default, ATEN.new_full.default)
"""They ask a tensor for a dtype and a device alone."""


class Shapes(FakeTensorMode):
    """Inside, tensors have no storage; a copy of one is of the same mode, where torch would copy that too."""

    # No shape is on a device. Torch asks the driver at every operation whether there is one, and beside Lightning it
    # loads the driver's library anew each time.
    avoid_device_init = True

    def __init__(self) -> None:
        super().__init__(allow_non_fake_inputs=True)

    def __deepcopy__(self, memo: Any) -> Self:
        return self


class Weightless(TorchDispatchMode):
    """Computes by value what is made of known numbers alone, inside of `Shapes`."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function in NEW and isinstance(args[0], FakeTensor):
            dtype = kwargs.get("dtype") or args[0].dtype
            if known(args[1], {"dtype": dtype}) and prod(args[1]) <= MANY:
                with unset_fake_temporarily():
                    like = torch.empty(0, dtype=dtype)
                    return function(like, *args[1:], **{**kwargs, "dtype": dtype, "device": like.device})
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if not any(isinstance(tensor, FakeTensor) for tensor in tensors) and (tensors or known(args, kwargs)):
            with unset_fake_temporarily() as shapes:
                if paired(tensors) <= MANY:
                    return function(*args, **kwargs)
                assert isinstance(shapes, Shapes)
                args, kwargs = tree_map_only(Tensor, shapes.from_tensor, (args, kwargs))
        if function is ATEN.nonzero.default:
            return all_places(args[0].shape)
        if function is ATEN.masked_select.default:
            return args[0].expand(torch.broadcast_shapes(*(one.shape for one in args))).flatten()
        if function is ATEN.index.Tensor:  # by a mask: how many it keeps is known
            with unset_fake_temporarily():
                args = (args[0], [place for index in args[1] for place in by_place(index)])
        return function(*args, **kwargs)


def paired(tensors: list[Tensor]) -> int:
    """Numbers that are made of these, each with each; none where their shapes do not go together, as in a product."""
    try:
        return int(torch.broadcast_shapes(*(tensor.shape for tensor in tensors)).numel())
    except RuntimeError:
        return 0


def known(sizes: Any, options: dict[str, Any]) -> bool:
    """Whether a new tensor of these arguments is of whole numbers, or of few."""
    dtype = options.get("dtype")
    if dtype is not None and not dtype.is_floating_point and not dtype.is_complex:
        return True
    return prod(one for one in tree_leaves(sizes) if isinstance(one, int | float)) <= FEW


def by_place(index: Tensor | None) -> tuple[Tensor | None, ...]:
    """A mask as the places that it keeps, an axis each; any other index as it is."""
    if not isinstance(index, Tensor) or index.dtype != torch.bool:
        return (index,)
    return all_places(index.shape).unbind(1) if isinstance(index, FakeTensor) else index.nonzero(as_tuple=True)


def all_places(shape: torch.Size) -> Tensor:
    """int64 (n, axes), of all numbers of a tensor."""
    with unset_fake_temporarily():
        return torch.ones(shape, dtype=torch.bool).nonzero()
