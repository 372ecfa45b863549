"""When a run is saved, and how it ends where a scheduler wants the machine back."""

import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_info

from emu.checkpoints.durable import Durable
from emu.checkpoints.sums import clear
from emu.errors import UserError
from emu.layouts import runs

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)  # of schedulers that want the machine back
STOPPED = 143  # the exit code of what SIGTERM ended: the same command goes on


class Checkpoints(L.Callback):
    """Saves what a run goes on from, and ends it in order where a scheduler asks for it.

    SIGTERM or SIGUSR1, to one process or to all, is agreed on by all: they save at the end of the step and leave with
    exit code 143. During a check, whose step is saved already, they leave at once: one process even in the middle of a
    picture, several with the batch that they draw.

    Args:
        every: optimizer steps from save to save; those that are checked are saved before they are checked.
        minutes: save also when the last save was so long ago.
        keep: how many of the newest are kept; one more lies there while the next is written.
        blocking: training waits until a checkpoint is on the disk. Otherwise it waits for a copy of the state in the
            host's memory (16 bytes a parameter, over all devices of a sharded run), which is written while it goes on.
    """

    def __init__(self, *, every: int = 500, minutes: float = 30, keep: int = 2, blocking: bool = False) -> None:
        super().__init__()
        if keep < 1 or every < 1:
            raise UserError(f"checkpoint.keep {keep}, checkpoint.every {every}: give 1 or more")
        self.every, self.minutes, self.keep, self.blocking = every, minutes, keep, blocking
        self._asked = False
        self._alone: L.Trainer | None = None  # while nobody else has to agree and nothing is to be saved
        self._saved, self._when = 0, time.monotonic()
        self._step = 0
        self._place: int | None = None
        self._group: Any = None
        self._handlers: dict[int, Any] = {}

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Clear away what a killed run left half-written."""
        if stage == "fit" and trainer.is_global_zero:
            clear(Path(trainer.default_root_dir))

    def on_sanity_check_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Listen from the first picture on."""
        self._listen(trainer)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Listen, and know where the run stands."""
        self._listen(trainer)
        self._place = _place(Path(trainer.default_root_dir))
        self._saved = self._step = trainer.global_step

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any) -> None:
        """Save where an optimizer step has ended and it is time, or where all have to leave."""
        if trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        if _io(trainer).ended():
            self._tidy(trainer)
        late = time.monotonic() - self._when > 60 * self.minutes
        asked, late = self._agreed(trainer, self._asked, late)
        # The last step is saved after its check: Lightning does not come back to a run that has had all its steps.
        last = 0 <= trainer.max_steps <= self._step
        if not last and (asked or late or self._step % self.every == 0):
            self.save(trainer)
        if asked:
            self._leave(trainer)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Listen in a check too that a run which goes on repeats before it trains."""
        if trainer.state.fn == "fit" and self._place is None:
            self._listen(trainer)
            self._saved = trainer.global_step

    def on_validation_batch_start(self, trainer: L.Trainer, *args: Any) -> None:
        """From here on one process may leave at any moment."""
        if trainer.state.fn == "fit" and trainer.world_size == 1:
            self._alone = trainer
            if self._asked:
                self._leave(trainer)

    def on_validation_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        """Leave a check at once where that is asked for."""
        self._alone = None
        if trainer.state.fn == "fit" and self._agreed(trainer, self._asked)[0]:
            self._leave(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The last state of the run, on the disk."""
        if trainer.global_step != self._saved:
            self.save(trainer)
        _io(trainer).wait()
        self._tidy(trainer)

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Listen no more."""
        self._alone = None
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}

    def save(self, trainer: L.Trainer) -> None:
        """One more checkpoint. On all ranks. UserError: the run's folder is gone, as with the disk that it was on."""
        run = Path(trainer.default_root_dir)
        if self._agreed(trainer, _place(run) != self._place)[0]:
            raise UserError(
                f"{run}: no longer the folder that this run began in, so nothing is saved there; the last good "
                "checkpoint is where it was: mount it again, and give the same command"
            )
        options = {"blocking": self.blocking}
        trainer.save_checkpoint(runs.checkpoint(run, trainer.global_step), weights_only=False, storage_options=options)
        self._saved, self._when = trainer.global_step, time.monotonic()
        if self.blocking:
            self._tidy(trainer)

    def _tidy(self, trainer: L.Trainer) -> None:
        """Those beyond `keep` go."""
        if trainer.is_global_zero:
            for path in runs.checkpoints(Path(trainer.default_root_dir))[: -self.keep]:
                trainer.strategy.remove_checkpoint(path)

    def _agreed(self, trainer: L.Trainer, *flags: bool) -> list[bool]:
        """Each flag, where any process has it."""
        if trainer.world_size == 1:
            return list(flags)
        anywhere = torch.tensor(flags, dtype=torch.int32)
        torch.distributed.all_reduce(anywhere, torch.distributed.ReduceOp.MAX, group=self._group)
        return [bool(flag) for flag in anywhere]

    def _listen(self, trainer: L.Trainer) -> None:
        if trainer.world_size > 1 and torch.distributed.get_backend() != "gloo" and self._group is None:
            self._group = torch.distributed.new_group(backend="gloo")  # to agree without waiting for a GPU
        if threading.current_thread() is not threading.main_thread():
            return  # Python lets no other thread listen
        # In place of Lightning's own: if only one process is signalled, it waits for the others forever.
        for number in SIGNALS:
            before = signal.signal(number, self._ask)
            if before != self._ask:
                self._handlers.setdefault(number, before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        if self._alone is not None:  # a batch of large pictures takes minutes, and a scheduler waits for less
            self._leave(self._alone)

    def _leave(self, trainer: L.Trainer) -> None:
        self._alone = None
        _io(trainer).wait()
        rank_zero_info(f"asked to stop: saved at step {self._saved}; the same command goes on from there")
        raise SystemExit(STOPPED)


def _place(folder: Path) -> int | None:
    """Tells a folder from another of its name. Not by its device, whose number may change when it is mounted again."""
    try:
        return folder.stat().st_ino
    except OSError:
        return None


def _io(trainer: L.Trainer) -> Durable:
    """UserError where something else writes the run's checkpoints."""
    io = trainer.strategy.checkpoint_io
    if not isinstance(io, Durable):
        raise UserError("plugins: Checkpoints saves by emu.checkpoints.Durable; add it to the Trainer's plugins")
    return io
