"""Tensors without values, only shapes, except whole numbers and truth values, which are computed.

Tokens, masks and lengths are small and decide shapes: with them, encoders whose shapes depend on data go through too.
"""

from typing import Any

import torch
from torch import Tensor

# Plain meta tensors do not do: transformers asks a mask of them for its values.
from torch._subclasses.fake_tensor import FakeTensor, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class WholeNumbers(TorchDispatchMode):
    """Computes by value what is made of whole numbers alone, inside of a FakeTensorMode."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if not any(isinstance(tensor, FakeTensor) for tensor in tensors) and (tensors or whole(kwargs.get("dtype"))):
            with unset_fake_temporarily():
                return function(*args, **kwargs)
        if function is torch.ops.aten.index.Tensor:  # by a mask: how many it keeps is known
            with unset_fake_temporarily():
                args = (args[0], [place for index in args[1] for place in by_place(index)])
        return function(*args, **kwargs)


def whole(dtype: torch.dtype | None) -> bool:
    """Whether a type of numbers has no fractions."""
    return dtype is not None and not dtype.is_floating_point and not dtype.is_complex


def by_place(index: Tensor | None) -> tuple[Tensor | None, ...]:
    """A mask as the places that it keeps, an axis each; any other index as it is."""
    known = isinstance(index, Tensor) and not isinstance(index, FakeTensor)
    return index.nonzero(as_tuple=True) if known and index.dtype == torch.bool else (index,)  # type: ignore[union-attr]
