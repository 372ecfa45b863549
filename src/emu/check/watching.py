"""A network seen from outside: what it is given and what it answers, whoever calls it and however."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, nn


@dataclass
class Seen:
    """Of all calls of one loss, in order.

    Args:
        given: way to it among the arguments -> tensor.
        answers: what the network returned, whatever its form.
    """

    given: dict[str, Tensor] = field(default_factory=dict)
    answers: list[Any] = field(default_factory=list)


@contextmanager
def watched(network: nn.Module) -> Iterator[Seen]:
    """What `network` is given and answers inside."""
    seen = Seen()

    def keep(_: nn.Module, args: tuple[Any, ...], named: dict[str, Any], answer: Any) -> None:
        arguments = {**{str(place): one for place, one in enumerate(args)}, **named}
        seen.given |= dict(tensors(arguments, f"{len(seen.answers)}"))
        seen.answers.append(answer)

    handle = network.register_forward_hook(keep, with_kwargs=True)
    try:
        yield seen
    finally:
        handle.remove()


@contextmanager
def answering(network: nn.Module, answers: list[Any], *, times: float) -> Iterator[None]:
    """Inside, `network` computes nothing and gives its earlier answers, multiplied."""
    left = iter(answers)

    def forward(*_: Any, **__: Any) -> Any:
        return apply_to_collection(next(left), Tensor, lambda answer: answer * times)

    network.forward = forward  # of this instance, over the class's
    try:
        yield
    finally:
        del network.forward


def tensors(value: Any, way: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every tensor in mappings and lists, with the way to it."""
    if isinstance(value, Tensor):
        yield way, value
    elif isinstance(value, dict | list | tuple):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from tensors(inner, f"{way}.{key}")
