"""What Lightning's checkpoints are made of, as far as emu looks into them."""

from typing import Any, TypedDict

from torch import Tensor

Moments = dict[str | int, dict[str, Any]]
"""Parameter, by its name or number -> what the optimizer remembers of it: tensors, and numbers."""


Saved = dict[str, Any]
"""A checkpoint or a part of one as Lightning hands it on: `Checkpoint` with what loops and callbacks add."""


class OptimizerState(TypedDict):
    """Of one optimizer; each group holds its parameters' names or numbers, and its settings."""

    state: Moments
    param_groups: list[dict[str, Any]]


class Checkpoint(TypedDict, total=False):
    """Lightning adds the state of loops, callbacks and datamodule."""

    state_dict: dict[str, Tensor]
    optimizer_states: list[OptimizerState]
    global_step: int
