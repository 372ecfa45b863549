"""What a model is asked for; where it gives something other than the contract says, a line that names its class."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from emu import answers
from emu.batch import Cond
from emu.errors import UserError

BEYOND = 0.01  # of [0,1], in what is drawn: a decoder need not clamp


class Encodes(Protocol):
    """What is asked to encode."""

    @property
    def encode_images(self) -> Callable[[Tensor], Tensor]: ...
    @property
    def encode_prompts(self) -> Callable[[list[str]], Cond]: ...
    @property
    def encode_negatives(self) -> Callable[[list[str]], Cond]: ...


def pictures(model: Encodes, images: Tensor) -> Tensor:
    """What `encode_images` gives for float (b,3,h,w): (b,...)."""
    wanted = f"a tensor with a row a picture: ({len(images)}, ...)"
    return answers.tensor(model.encode_images(images), model, "encode_images", wanted, rows=len(images))


def prompts(model: Encodes, texts: list[str], *, negative: bool = False) -> Cond:
    """What `encode_prompts`, or `encode_negatives`, gives for b texts: names -> (b,...)."""
    encode = model.encode_negatives if negative else model.encode_prompts
    method = _own_name(encode)
    given: Any = encode(texts)
    wanted = f"a dict of the pipeline's keywords to tensors with a row a prompt: ({len(texts)}, ...)"
    if not isinstance(given, Mapping) or not given:
        raise answers.refuse(model, method, given, wanted)
    for key, one in given.items():
        answers.tensor(one, model, f"{method}, as {key},", wanted, rows=len(texts))
    return {**given}


def _own_name(encode: Callable[..., Any]) -> str:
    """The method to look at: negative prompts are encoded as others are, where a class does not say otherwise."""
    inherited = encode.__qualname__ == "Architecture.encode_negatives"
    return "encode_prompts" if inherited else encode.__name__


def alike(model: Encodes, first: Cond, other: Cond) -> None:
    """UserError where two prompts, encoded apart, have other names or shapes, and so stand in no batch or cache."""
    shapes = [{key: tuple(one.shape[1:]) for key, one in cond.items()} for cond in (first, other)]
    if shapes[0] != shapes[1]:
        raise UserError(
            f"{answers.name_of(model)}.encode_prompts gave {shapes[0]} for one prompt and {shapes[1]} for another; pad "
            "what is of varying length, with a mask beside it"
        )


def losses(model: Any, x: Tensor, cond: Cond) -> Tensor:
    """What `loss` gives for b pictures: float (b,)."""
    given = model.loss(x, cond)
    wanted = f"a number a picture, float ({len(x)},)"
    found = answers.tensor(given, model, "loss", wanted, rows=len(x))
    if found.ndim != 1 or not found.is_floating_point():
        raise answers.refuse(model, "loss", given, wanted)
    if torch.is_grad_enabled() and not found.requires_grad:
        raise UserError(
            f"{answers.name_of(model)}.loss gave numbers that no gradient flows back from; give what call_backbone "
            "gave on, without detach, no_grad or numpy between"
        )
    return found


def drawn(model: Any, images: Any, number: int) -> Tensor:
    """What `sample` gave for so many prompts: float (b,3,h,w) in [0,1]."""
    wanted = f"pictures in [0,1], float ({number}, 3, height, width)"
    found = answers.tensor(images, model, "sample", wanted, rows=number)
    if found.ndim != 4 or found.shape[1] != 3 or not found.is_floating_point():
        raise answers.refuse(model, "sample", images, wanted)
    low, high = (float(one) for one in found.aminmax())
    if low < -BEYOND or high > 1 + BEYOND:  # numbers that are not finite are an error elsewhere, with their prompt
        raise UserError(f"{answers.name_of(model)}.sample gave values from {low:.2g} to {high:.2g}; give {wanted}")
    return found
