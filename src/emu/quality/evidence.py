"""Step 0 as a run remembers it, and what judges and guards say of a check beside it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.utilities import rank_zero_info

from emu.checkpoints.state import Saved
from emu.class_paths.code import own_code
from emu.errors import UserError, printable
from emu.guards import Evidence, Guard, Side
from emu.judges import Judge, judge_card
from emu.layouts import runs
from emu.layouts.quality_json import Check
from emu.quality.drawing import Drawn
from emu.storage.shapes import Card

Cards = dict[str, Card]


@dataclass(frozen=True)
class StepZero:
    """What every check is held against.

    Args:
        digest: of prompts and sampler (`Drawn.digest`).
        judges: criterion -> the description of its judge.
        drawn: what was drawn and how it scored, without the rows.
    """

    digest: str
    judges: Cards
    drawn: Drawn

    @classmethod
    def of(cls, drawn: Drawn, judges: Cards) -> "StepZero":
        return cls(drawn.digest, judges, replace(drawn, rows=[]))

    def state(self) -> Saved:
        """Plain numbers, texts and tensors, so that checkpoints load with `weights_only=True`."""
        kept = {one.name: getattr(self.drawn, one.name) for one in fields(Drawn) if one.name != "rows"}
        return {"digest": self.digest, "judges": self.judges, **kept}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "StepZero":
        """The inverse of `state`, also for checkpoints of earlier versions, which lack `black`."""
        kept = {one.name: state[one.name] for one in fields(Drawn) if one.name in state}
        return cls(state["digest"], state["judges"], Drawn(rows=[], **{"black": [], **kept}))

    def require_same(self, drawn: Drawn, judges: Cards) -> None:
        """UserError where a check was drawn from other prompts or scored by other judges."""
        if self.digest != drawn.digest:
            raise UserError("data.prompts: not the prompts and sampler that drew step 0; start a new run folder")
        for criterion in runs.other_judges(self.judges, judges):
            raise UserError(f"quality.{criterion}: not the judge that scored step 0; start a new run folder")


def counting(before: Drawn, now: Drawn) -> list[int]:
    """The places of the pictures that are black on neither side; UserError where there is none."""
    dark = {*before.black, *now.black}
    kept = [i for i, row in enumerate(now.rows) if row["file"] not in dark]
    if now.rows and not kept:
        raise UserError("all pictures of the check are black, here or at step 0: nothing can be judged; is it broken?")
    if len(kept) < len(now.rows):
        named = "; ".join(f"{row['file']} ({row['prompt']!r})" for row in now.rows if row["file"] in dark)
        rank_zero_info(f"warning: black all over and left out of the check: {printable(named)}")
    return kept


def evidence(before: Drawn, now: Drawn, kept: Sequence[int], *, folders: tuple[Path, Path]) -> Evidence:
    """Both sides as the guards take them: pictures in the order of the prompts, held-out losses in that of times."""
    losses = dict(before.held_out), dict(now.held_out)
    times = sorted(losses[0].keys() & losses[1].keys())
    names = [now.rows[i]["file"] for i in kept]
    # A run that went on from another's checkpoint has no pictures of step 0 in its own folder.
    there = [(folders[0] / runs.SAMPLES).exists(), True]
    files = [[folder / name for name in names if ok] for folder, ok in zip(folders, there, strict=True)]
    first, second = (
        Side(
            colours=drawn.colours[kept].numpy() if kept else None,
            features=drawn.layouts[kept].numpy() if drawn.layouts is not None else None,
            losses=np.array([of[time] for time in times], dtype=np.float32),
            files=paths,
        )
        for drawn, of, paths in zip((before, now), losses, files, strict=True)
    )
    return Evidence([now.rows[i]["prompt"] for i in kept], first, second, times=np.array(times, dtype=np.float32))


def try_out(guards: Sequence[Guard], drawn: Drawn, folder: Path) -> None:
    """Show step 0 beside itself to guards of a user's own: what would end the run at its first check ends it here."""
    seen = evidence(drawn, drawn, range(len(drawn.rows)), folders=(folder, folder))
    for guard in guards:
        if own_code(type(guard)):
            guard.findings(seen)


def judged(
    base: StepZero, now: Drawn, *, run: Path, step: int, judges: Mapping[str, Judge], guards: Sequence[Guard]
) -> Check:
    """A check against step 0; `run` is the folder that the pictures of both lie in."""
    kept = counting(base.drawn, now)
    seen = evidence(base.drawn, now, kept, folders=(runs.step_folder(run, 0), runs.step_folder(run, step)))
    files = [now.rows[i]["file"] for i in kept]
    return Check.against(
        *({file: side[file] for file in files} for side in (base.drawn.scores, now.scores)),
        step=step,
        ties={criterion: judge.tie for criterion, judge in judges.items()},
        held_out_ratio=_ratio(now.held_out_loss, base.drawn.held_out_loss),
        prompts=seen.prompts,
        guards=[finding for guard in guards for finding in guard.findings(seen)],
    )


def cards(judges: Mapping[str, Judge]) -> Cards:
    """Criterion -> the description of its judge."""
    return {criterion: judge_card(judge) for criterion, judge in judges.items()}


def _ratio(value: float | None, base: float | None) -> float | None:
    return value / base if value is not None and base is not None and math.isfinite(value) else None
