"""Optimizer steps that are not taken, since a loss or a gradient is not finite."""

import logging

import torch
from torch import Tensor

from emu.errors import UserError
from emu.terminal.counted import many

log = logging.getLogger(__name__)


class Steps:
    """The losses of one optimizer step's batches so far, and how many steps in a row were skipped.

    Args:
        most: that may be skipped in a row.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.skipped = 0
        self.batches: list[tuple[list[str], Tensor, Tensor]] = []

    def add(self, names: list[str], losses: Tensor, mean: Tensor) -> None:
        """One more batch: the pictures' names and losses (b,), and their weighted mean."""
        self.batches.append((names, losses.detach(), mean.detach()))

    def mean(self) -> Tensor:
        """Over the batches."""
        return torch.stack([mean for _, _, mean in self.batches]).mean()

    def skip(self, step: int, *, first: bool) -> None:
        """Name the pictures whose losses are not finite; the `first` process speaks though it has none.

        UserError where more than `most` steps in a row were skipped.
        """
        self.skipped += 1
        bad = [
            name
            for names, losses, _ in self.batches
            for name, ok in zip(names, losses.isfinite(), strict=True)
            if not ok
        ]
        if bad or first:
            whose = f"the losses of {', '.join(bad)}" if bad else "a loss or gradient"
            log.warning("step %d skipped: %s not finite", step, f"{whose} {'are' if bad[1:] else 'is'}")
        if self.skipped > self.most:
            raise UserError(
                f"step {step}: loss or gradient not finite in {many(self.skipped, 'step')} in a row "
                "(model.init_args.max_skipped); lower the learning rate, or look at the pictures named above"
            )
