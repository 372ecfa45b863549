"""QualityTuning: draws the same prompts at every check, judges them against step 0, stops, keeps the best.

Notable: it reads pictures that the validation loop has drawn, so it knows no architecture. With any Trainer:

    Trainer(max_epochs=-1, callbacks=[QualityTuning(appeal=MyJudge(), check_every=100)])
"""

import dataclasses
from pathlib import Path
from typing import Any, cast

import lightning as L
from lightning.pytorch.utilities import rank_zero_info

from emu.batch import Pictures, Prompts, Sampler
from emu.checkpoints.state import Saved
from emu.errors import UserError
from emu.guards import Guard, at_a_check
from emu.judges import Judge, judge_card
from emu.layouts import runs
from emu.layouts.quality_json import Check, Quality, versions, write_quality
from emu.quality.drawing import Drawing
from emu.quality.evidence import StepZero, cards, judged, try_out
from emu.quality.stopping import StopRule
from emu.quality.trainer import finish_check, recount, schedule, take_over, tuning, warn_of_passes


class QualityTuning(L.Callback):
    """Quality-tuning's own loop around Lightning's: before, check, verdict, stop.

    It sets what it needs on the Trainer: step 0 is drawn in the sanity check, validation runs at optimizer steps
    divisible by `check_every` and at the last one, gradients accumulate up to `batch`, `max_steps` caps the Trainer's.
    The datamodule has `batch_size`. `validation_step` returns {"images": float (b,3,h,w) in [0,1]} for a batch with
    `prompt`, `seed` and `index`, and {"losses": float (b,)} for any other, which has `weight` and `time`; the
    module has its `sampler` settings, or returns a batch's own as "sampler".

    Args:
        appeal: judges how good a picture looks; without it the latest check is kept as the best.
        faithfulness: judges whether the picture shows its prompt; guards against tuning at its expense.
        batch: pictures an optimizer step, over all devices and accumulated batches.
        check_every: optimizer steps from check to check.
        guards: stop the run where they are broken, beside drift, diversity and held-out loss or in their place
            (`emu.guards.at_a_check`); of those three also their thresholds by name, as in `--quality.guards.drift 0.3`.
        rule: when to stop, as `StopRule` has it.
    """

    def __init__(
        self,
        *,
        appeal: Judge | None = None,
        faithfulness: Judge | None = None,
        batch: int = 64,
        check_every: int = 500,
        guards: list[Guard] | dict[str, float] | None = None,
        **rule: Any,
    ) -> None:
        super().__init__()
        self.judges = {n: j for n, j in (("appeal", appeal), ("faithfulness", faithfulness)) if j is not None}
        self.batch = batch
        self.check_every = check_every
        self.rule = StopRule(**rule)
        self.checks: list[Check] = []
        self.stop_reason: str | None = None
        self._accumulate = 1
        self.guards = at_a_check(guards)
        self._base: StepZero | None = None

    # ---- the Trainer's settings

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Take over sanity check, accumulation, interval and step limit, so that configs need not repeat them."""
        if stage != "fit":
            return
        for judge in self.judges.values():  # before the model is loaded, and minutes before the judge is asked
            judge.require()
            judge_card(judge)
        max_steps = take_over(trainer, batch=self.batch, max_steps=self.rule.max_steps)
        self._accumulate = trainer.accumulate_grad_batches
        self.rule = dataclasses.replace(self.rule, max_steps=max_steps)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Refuse to tune without a step 0; warn where the passes over each picture are far from the recipe."""
        base = self._base.drawn if self._base else None
        if not (base and base.scores) and getattr(pl_module, "reads_captions", True):
            raise UserError(
                "data.prompts: no prompts were drawn at step 0; name a file of prompts, such as a .txt of one a line"
            )
        if not (base and (base.scores or base.held_out)):
            raise UserError("data.held_out: nothing is there to watch; keep some pictures from training, such as 256")
        self._schedule(trainer)
        if finish_check(trainer):
            self._schedule(trainer)
        if base.scores:  # else an encoder's training, of which the recipe says nothing
            warn_of_passes(trainer)

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        """Decide whether the validation loop runs now; Lightning asks right after this hook."""
        self._schedule(trainer)

    def _schedule(self, trainer: L.Trainer) -> None:
        schedule(trainer, every=self.check_every, checked=self.checks[-1].step if self.checks else 0)

    # ---- the pictures

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Open the step's folder, without its mark of completeness."""
        folder = runs.step_folder(Path(trainer.default_root_dir), trainer.global_step)
        self._drawing = Drawing(folder, judges=self.judges, sampler=cast(Sampler, pl_module.sampler))
        if tuning(trainer) and trainer.is_global_zero:
            (folder / runs.SAMPLES).unlink(missing_ok=True)

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Pictures | Prompts,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Write and judge a batch of prompts, or keep the losses of held-out pictures."""
        if not tuning(trainer):
            return
        if "prompt" in batch:
            self._drawing.add(outputs["images"], batch, outputs.get("sampler"))
        else:
            self._drawing.hold_out(outputs["losses"], batch)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Complete the folder, then decide on every rank alike, from all ranks' pictures."""
        if not tuning(trainer):
            return
        drawn = self._drawing.finish()
        judges = cards(self.judges)
        if trainer.is_global_zero and drawn.rows:
            runs.write_scores(self._drawing.folder, drawn.scores)
            runs.write_judges(self._drawing.folder, judges)
            runs.write_samples(self._drawing.folder, drawn.rows)
        if trainer.sanity_checking:
            try_out(self.guards, drawn, self._drawing.folder)
            self._base = StepZero.of(drawn, judges)
            return
        assert self._base is not None
        self._base.require_same(drawn, judges)
        run, step = Path(trainer.default_root_dir), trainer.global_step
        check = judged(self._base, drawn, run=run, step=step, judges=self.judges, guards=self.guards)
        self.checks.append(check)
        self._log_check(pl_module)
        self.stop_reason = self.rule.reason(self.checks)
        trainer.should_stop = trainer.should_stop or self.stop_reason is not None

    # ---- the verdict

    def _log_check(self, pl_module: L.LightningModule) -> None:
        check = self.checks[-1]
        if check.appeal:
            pl_module.log("appeal_win", check.appeal.win, prog_bar=True, sync_dist=True)
        if check.faithfulness_net:
            pl_module.log("faithfulness_net", check.faithfulness_net.net, prog_bar=True, sync_dist=True)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep the checkpoint where this check is the best, then let `quality.json` say so: never the other way."""
        if not tuning(trainer):
            return
        if not trainer.sanity_checking:
            best = self.rule.best(self.checks)
            if best is not None and best.step == trainer.global_step:
                trainer.save_checkpoint(Path(trainer.default_root_dir) / runs.BEST, weights_only=False)
            rank_zero_info(str(self.checks[-1]))
        self._write_quality(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Name the reason why training stopped."""
        if self.stop_reason is None:
            self.stop_reason = f"step {trainer.global_step}: the Trainer ended before the stop rule did (max_epochs?)"
            self._write_quality(trainer, pl_module)
        rank_zero_info(f"stopped at {self.stop_reason}")

    def _write_quality(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        best = self.rule.best(self.checks)
        run = Path(trainer.default_root_dir)
        quality = Quality(
            name=run.resolve().name,
            model=type(pl_module).__name__,
            best_step=best.step if best else None,
            stop_reason=self.stop_reason,
            checks=self.checks,
            judges=cards(self.judges),
            versions=versions(),
        )
        write_quality(run, quality)

    # ---- resume

    def state_dict(self) -> Saved:
        """Plain numbers, texts and tensors, so that checkpoints load with `weights_only=True`."""
        checks = [dataclasses.asdict(check) for check in self.checks]
        return {"base": self._base.state() if self._base else {}, "checks": checks, "accumulate": self._accumulate}

    def load_state_dict(self, state_dict: Saved) -> None:
        """Go on with the verdicts so far; step 0 is not drawn again."""
        self._base = StepZero.from_state(state_dict["base"]) if state_dict["base"] else None
        self.checks = [Check.from_row(row) for row in state_dict["checks"]]

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: Saved) -> None:
        """Count batches as this run does: the number of batches per optimizer step depends on the number of devices."""
        then = checkpoint["callbacks"][self.state_key]["accumulate"]
        recount(checkpoint, then=then, now=trainer.accumulate_grad_batches)
