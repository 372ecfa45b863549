"""What a run says on the terminal: steps of how many, warnings a line each, and nothing that says nothing."""

import logging
import math
import sys
import warnings
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import lightning as L
from diffusers.utils import logging as of_diffusers
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm
from lightning.pytorch.utilities import rank_zero_info
from tqdm.contrib.logging import logging_redirect_tqdm

from emu.data.loader import Fixed, HeldOut
from emu.module.pipeline import PipelineModule
from emu.terminal.bars import Bar, only_ours

PACKAGE = Path(__file__).parents[1]
SPOKEN = (
    "input was truncated because",  # diffusers, for each caption at each visit: `captions.py` counts them once
    "Tip: For seamless cloud",  # lightning, of another logger
    "No LoRA keys associated to",  # diffusers, of text encoders that a file has nothing for
    "that should be kept in float32: []",  # diffusers, of no module at all
    "Expected types for ",  # diffusers, of what stands in for a folder's processor
    "has been deprecated and will not receive",  # diffusers, of aMUSEd at each load
)
SHOWN = {HeldOut: "held-out loss", Fixed: "pictures"}


def tidy() -> None:
    """Leave out what libraries log and show of what emu says itself, and print emu's warnings without lines of code."""
    only_ours()
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


class RunBar(Bar, Tqdm):
    """Lightning's, whose figures keep their width, written as emu writes bars."""


class StepBar(TQDMProgressBar):
    """Optimizer steps of those allowed, where Lightning counts batches of an epoch, and epochs to no end.

    In a log it says so twice a minute, on a terminal ten times a second.
    """

    sanity_check_description = "step 0"
    train_description = "step"
    validation_description = "check"

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say what trains."""
        if isinstance(pl_module, PipelineModule):
            rank_zero_info(trained(pl_module))

    def init_sanity_tqdm(self) -> Tqdm:
        return self._bar(self.sanity_check_description, leave=False)

    def init_validation_tqdm(self) -> Tqdm:
        alone = self.trainer.state.fn == "validate"
        return self._bar(self.validation_description, leave=alone, position=int(not alone))

    def init_train_tqdm(self) -> Tqdm:
        steps = self.trainer.max_steps
        return self._bar(self.train_description, total=steps, initial=self.trainer.global_step, smoothing=0)

    def _bar(self, description: str, **named: Any) -> Tqdm:
        look: dict[str, Any] = {"dynamic_ncols": True, "bar_format": self.BAR_FORMAT, "file": sys.stdout}
        # Not shown before it knows how much it counts.
        return RunBar(desc=description, disable=self.is_disabled, delay=1e-3, **look, **named)

    def on_exception(self, *_: Any) -> None:
        """What ended a run is said on a line of its own, not behind a bar."""
        for bar in (self._val_progress_bar, self._train_progress_bar):
            if bar is not None:
                bar.close()

    def on_train_epoch_start(self, *_: Any) -> None:
        """The bar goes on: it is the run's."""

    def on_train_epoch_end(self, *_: Any) -> None:
        """As at its start."""

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        self.train_progress_bar.set_postfix(self.get_metrics(trainer, pl_module), refresh=False)
        self.train_progress_bar.update(trainer.global_step - self.train_progress_bar.n)

    def on_validation_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if self.has_dataloader_changed(dataloader_idx):
            now = self.sanity_check_description if trainer.sanity_checking else self.validation_description
            loaders = trainer.val_dataloaders
            loader = loaders[dataloader_idx] if isinstance(loaders, list) else loaders
            shown = SHOWN.get(type(loader), f"DataLoader {dataloader_idx}")  # of data that is not emu's
            total = self.total_val_batches_current_dataloader
            self.val_progress_bar.set_description(f"{now}, {shown}", refresh=False)
            self.val_progress_bar.reset(total if math.isfinite(total) else None)

    def on_validation_batch_end(self, *given: Any) -> None:
        self.val_progress_bar.update()

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """What a model of one's own logs with `prog_bar`; not the number that Lightning gives to a folder of logs."""
        return dict(trainer.progress_bar_metrics)


def trained(module: PipelineModule) -> str:
    """A line on what trains, and how large it is."""
    of, weights = f"its {module.slot}", list(module.backbone.parameters())
    number = sum(weight.numel() for weight in weights if weight.requires_grad)
    if module.adapter is not None:
        what = f"an adapter of {number:,} parameters trains beside {of}"
    elif all(weight.requires_grad for weight in weights):
        what = f"the {number:,} parameters of {of} train"
    else:
        what = f"{number:,} of the {sum(weight.numel() for weight in weights):,} parameters of {of} train"
    return f"{type(module).__name__}: {what}"
