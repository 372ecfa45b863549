"""An optimizer's settings: its warm-up, and those of the command in place of a checkpoint's."""

from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from emu.errors import UserError

Settings = list[dict[str, Any]]  # of each group of parameters


def warm_up(optimizer: Optimizer, steps: int) -> LambdaLR:
    """The rate rises linearly over `steps`, then stays constant."""
    return LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / max(1, steps)))


def settings(optimizer: Optimizer) -> Settings:
    """As it was made."""
    return [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]


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
