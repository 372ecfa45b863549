"""What a class of a user's own gives back, where its contract asks for something else: a line that names the class."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from emu.errors import UserError

if TYPE_CHECKING:  # funnels and pages ask as well, and take no torch for it
    from torch import Tensor


def refuse(by: object, method: str, given: object, wanted: str) -> UserError:
    """`my_model.Mine.loss gave a float32 tensor of (); give ...`, to be raised."""
    return UserError(f"{name_of(by)}.{method} gave {shown(given)}; give {wanted}")


def lacks(by: object, name: str, what: str) -> UserError:
    """`my_model.Mine says no slot; give it: ...`, to be raised."""
    return UserError(f"{name_of(by)} says no {name}; give it: {what}")


def name_of(by: object) -> str:
    """The class path of a class, or of an object's."""
    kind = by if isinstance(by, type) else type(by)
    return f"{kind.__module__}.{kind.__qualname__}"


def shown(given: object) -> str:
    """What something is, in words: of arrays their type and shape, of mappings their keys."""
    if given is None or isinstance(given, str | bool | int | float):
        return f"{given!r:.80}"
    if isinstance(given, Mapping):
        return f"a {type(given).__name__} of {', '.join(map(str, given)) or 'nothing'}"
    shape = getattr(given, "shape", None)
    if shape is None:
        return f"a {type(given).__name__}"
    kind = "tensor" if hasattr(given, "requires_grad") else type(given).__name__
    return f"a {str(getattr(given, 'dtype', '')).removeprefix('torch.')} {kind} of {tuple(shape)}"


def tensor(given: Any, by: object, method: str, wanted: str, *, rows: int) -> "Tensor":
    """`given`, which is a tensor of so many rows. UserError: it is none."""
    import torch

    if not isinstance(given, torch.Tensor) or not given.ndim or len(given) != rows:
        raise refuse(by, method, given, wanted)
    return given
