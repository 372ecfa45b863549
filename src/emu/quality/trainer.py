"""What quality-tuning asks of Lightning's Trainer: how gradients add up, when it validates, where it ends.

Notable: Lightning counts batches, and an epoch's last accumulation may be short, so only the optimizer's own count is
exact. "Validate after every batch" asks for a check now, "every maxsize batches" for none.
"""

import math
import sys

import lightning as L
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info

from emu.checkpoints.state import Saved
from emu.quality.recipe import batch_warning, passes_warning


def tuning(trainer: L.Trainer) -> bool:
    """Whether it fits: `Trainer.validate` calls the same hooks, and would draw over step 0."""
    return trainer.state.fn == TrainerFn.FITTING


def take_over(trainer: L.Trainer, *, batch: int, max_steps: int) -> int:
    """Accumulate up to `batch` pictures a step, check step 0 in the sanity check; returns the last step allowed."""
    # Lightning sets `datamodule` without declaring it.
    together = trainer.datamodule.batch_size * trainer.world_size  # type: ignore[attr-defined]
    if trainer.accumulate_grad_batches == 1 and batch % together == 0:
        trainer.accumulate_grad_batches = batch // together
    if not _pretrains(trainer) and (warning := batch_warning(together * trainer.accumulate_grad_batches)):
        rank_zero_info(f"warning: {warning}")
    trainer.num_sanity_val_steps = math.inf
    trainer.check_val_every_n_epoch = None
    loop = trainer.fit_loop.epoch_loop
    loop.max_steps = max_steps if loop.max_steps == -1 else min(loop.max_steps, max_steps)
    return loop.max_steps


def _pretrains(trainer: L.Trainer) -> bool:
    """The recipe says nothing of how a model is made before."""
    return getattr(trainer.datamodule, "pretrains", False)  # type: ignore[attr-defined]  # as above


def schedule(trainer: L.Trainer, *, every: int, checked: int) -> None:
    """Check now where a step divisible by `every`, or the last one, has come since step `checked`; else not."""
    step = trainer.global_step
    due = step > checked and (step % every == 0 or step >= trainer.max_steps)
    trainer.val_check_batch = 1 if due else sys.maxsize


def finish_check(trainer: L.Trainer) -> bool:
    """Run again a check that was interrupted, which Lightning takes for done; returns whether there was one."""
    if trainer.val_check_batch != 1:
        return False
    loop = trainer.fit_loop.epoch_loop.val_loop
    loop.restarting = False
    trainer.validating = True
    loop.run()
    trainer.training = True
    return True


def warn_of_passes(trainer: L.Trainer) -> None:
    """Say so where each picture is seen much more or less often than in the recipe, unless it pre-trains."""
    if _pretrains(trainer):
        return
    steps_an_epoch = math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
    if warning := passes_warning(trainer.estimated_stepping_batches, steps_an_epoch=steps_an_epoch):
        rank_zero_info(f"warning: {warning}")


def recount(checkpoint: Saved, *, then: int, now: int) -> None:
    """Count a checkpoint's batches as this run does: it has `now` of them an optimizer step, the run before `then`."""
    progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
    current = progress["current"]
    if progress["is_last_batch"] and current["completed"] == current["ready"]:
        # Else Lightning counts on from an epoch that is over, takes the next one's first batch for the last, and steps.
        current.update(dict.fromkeys(current, 0))
        progress["is_last_batch"] = False
    for counts in (progress[of] for of in ("total", "current")):
        ready = counts["ready"] // then * now
        counts.update({name: ready - counts["ready"] + count for name, count in counts.items()})
