"""What data hands to a model: a batch of pictures to learn from, or of prompts to draw. All that the two share.

A key's meaning stands in docs/architecture.md, "The batch".
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, NotRequired, TypedDict, final

from torch import Tensor

Cond = dict[str, Tensor]
Sampler = dict[str, int | float | bool | str]


class Text(NamedTuple):
    """What a text encoder is given."""

    words: str
    negative: bool = False
    """Whether guidance leads away from it; a model may put less around such a one."""


@final
class Pictures(TypedDict):
    """Pictures of one size, for training or held out: `image` and `text`, or with a cache `x` and `cond`."""

    name: list[str]
    weight: Tensor
    noise_seed: Sequence[int]
    size: Tensor
    image: NotRequired[Tensor]
    text: NotRequired[list[str]]
    x: NotRequired[Tensor]
    cond: NotRequired[Cond]
    time: NotRequired[Tensor]


@final
class Prompts(TypedDict):
    """Prompts that are drawn with the same settings; index -1 is a filler, which nobody keeps."""

    prompt: list[str]
    seed: Tensor
    index: Tensor
    settings: NotRequired[Sampler]
    negative: NotRequired[list[str]]
    columns: NotRequired[list[dict[str, Any]]]


class Validated(TypedDict, total=False):
    """What a validation step gives back: `images` of prompts and how they were drawn, or the `losses` of pictures."""

    images: Tensor
    sampler: Sampler
    losses: Tensor
