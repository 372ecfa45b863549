"""What a run says on the terminal: steps of how many, warnings a line each, and nothing that says nothing."""

import logging
import sys
import warnings
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import lightning as L
from diffusers.utils import logging as of_diffusers
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from emu.bars import paced

PACKAGE = Path(__file__).parent
SPOKEN = (
    "input was truncated because",  # diffusers, for each caption at each visit: `emu.captions` counts them once
    "Tip: For seamless cloud",  # lightning, of another logger
)


def tidy() -> None:
    """Leave out what libraries log of things that emu says itself, and print emu's warnings without lines of code."""
    for handler in of_diffusers.get_logger("diffusers").handlers:  # which it makes with its first logger
        handler.addFilter(worth_saying)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(worth_saying)
    if warnings.formatwarning is not in_a_line:
        warnings.formatwarning = in_a_line


def above_bars() -> AbstractContextManager[None]:
    """On a terminal, what a run says is written above its bars, not behind them."""
    return logging_redirect_tqdm([logging.getLogger("lightning.pytorch")]) if sys.stdout.isatty() else nullcontext()


def worth_saying(record: logging.LogRecord) -> bool:
    """Whether a library's message is news."""
    message = record.getMessage()
    return not any(text in message for text in SPOKEN)


_as_before = warnings.formatwarning


def in_a_line(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """A warning of emu's own without the place in its code; others as Python, or Lightning, prints them."""
    if Path(filename).is_relative_to(PACKAGE):
        return f"warning: {message}\n"
    return _as_before(message, category, filename, lineno, line)


class StepBar(TQDMProgressBar):
    """Optimizer steps of those allowed, where Lightning counts batches of an epoch, and epochs to no end.

    In a log it says so twice a minute, on a terminal ten times a second.
    """

    sanity_check_description = "step 0"
    train_description = "step"
    validation_description = "check"

    def init_sanity_tqdm(self) -> Tqdm:
        return paced(super().init_sanity_tqdm())

    def init_validation_tqdm(self) -> Tqdm:
        return paced(super().init_validation_tqdm())

    def init_train_tqdm(self) -> Tqdm:
        bar = paced(super().init_train_tqdm())
        bar.reset(self.trainer.max_steps)
        bar.initial = bar.n = self.trainer.global_step
        return bar

    def on_train_epoch_start(self, *_: Any) -> None:
        """The bar goes on: it is the run's."""

    def on_train_epoch_end(self, *_: Any) -> None:
        """As at its start."""

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        self.train_progress_bar.set_postfix(self.get_metrics(trainer, pl_module), refresh=False)
        self.train_progress_bar.update(trainer.global_step - self.train_progress_bar.n)

    def on_validation_batch_end(self, *given: Any) -> None:
        self.val_progress_bar.update()

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """What a model of one's own logs with `prog_bar`; not the number that Lightning gives to a folder of logs."""
        return dict(trainer.progress_bar_metrics)
