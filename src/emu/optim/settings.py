"""An optimizer's settings: its warm-up, and those of the command in place of a checkpoint's."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from emu.errors import UserError

Settings = list[dict[str, Any]]  # of each group of parameters


def warm_up(optimizer: Optimizer, steps: int) -> LambdaLR:
    """The rate rises linearly over `steps`, then stays constant."""
    return LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / max(1, steps)))


def fused(optimizer: Optimizer) -> Optimizer:
    """The optimizer; an Adam's step is one kernel for all weights, where nothing else is asked for."""
    for group in optimizer.param_groups if isinstance(optimizer, Adam | AdamW) else ():  # SGD has none for shards
        if group["fused"] is None and group["foreach"] is None:
            # Not by its argument: Lightning 2.6 then refuses to clip gradients in mixed precision.
            group["fused"] = True
    return optimizer


def settings(optimizer: Optimizer) -> Settings:
    """As it was made."""
    return [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]


def require_rounding(make: Callable[[Any], Optimizer]) -> None:
    """UserError where an optimizer's steps move none of many weights in bfloat16 that lie four to eight steps apart."""
    weight = nn.Parameter(torch.zeros(64, 64, dtype=torch.bfloat16))
    with torch.random.fork_rng(devices=[]):
        optimizer = make([weight])
        weight.data.fill_(1024 * optimizer.param_groups[0]["lr"])
        before, weight.grad = weight.detach().clone(), torch.ones_like(weight)
        optimizer.step()
    if torch.equal(weight, before):
        raise UserError(
            "model.init_args.optimizer: rounds to the nearest of the weights in bfloat16, which are too far apart for "
            "its steps; give emu.adamw8bit.AdamW8bit, or another that rounds stochastically"
        )


def hold_to(schedule: LambdaLR, wanted: Settings) -> None:
    """Give the optimizer of a schedule these settings, and the rate that they make at the schedule's step.

    UserError: it came from a checkpoint of another kind of optimizer, whose moments mean something else.
    """
    groups = schedule.optimizer.param_groups
    if [group.keys() - {"params", "param_names"} for group in groups] != [
        own.keys() - {"param_names"} for own in wanted
    ]:
        raise UserError(
            "model.init_args.optimizer: the checkpoint is of another kind of optimizer, or of other groups of "
            "parameters; give the one that it was made with"
        )
    for i, (group, own) in enumerate(zip(groups, wanted, strict=True)):
        group.update({name: value for name, value in own.items() if name not in ("lr", "param_names")})
        schedule.base_lrs[i] = own["initial_lr"]
        factor = schedule.lr_lambdas[i]
        assert factor is not None
        group["lr"] = own["initial_lr"] * factor(schedule.last_epoch)
