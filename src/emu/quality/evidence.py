"""Step 0 as a run remembers it, and what judges and guards say of a check beside it."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from lightning.pytorch.utilities import rank_zero_info

from emu.errors import UserError, printable
from emu.guards import Evidence, Finding, Side
from emu.judges import Judge, judge_card
from emu.quality.drawing import Drawn
from emu.quality.stopping import Check

Base = dict[str, Any]
"""Of step 0: `digest` of prompts and sampler, `judges`, and of `Drawn` all but the rows."""


def step_zero(drawn: Drawn, judges: dict[str, Any]) -> Base:
    """Plain numbers, texts and tensors, so that checkpoints load with `weights_only=True`."""
    return {
        "digest": drawn.digest,
        "judges": judges,
        "scores": drawn.scores,
        "held_out_loss": drawn.held_out_loss,
        "held_out": drawn.held_out,
        "black": drawn.black,
        "colours": drawn.colours,
        "layouts": drawn.layouts,
    }


def counting(base: Base, now: Drawn) -> list[int]:
    """The places of the pictures that are black on neither side; UserError where there is none."""
    dark = {*base.get("black", ()), *now.black}  # absent in checkpoints of before
    kept = [i for i, row in enumerate(now.rows) if row["file"] not in dark]
    if now.rows and not kept:
        raise UserError("all pictures of the check are black, here or at step 0: nothing can be judged; is it broken?")
    if len(kept) < len(now.rows):
        named = "; ".join(f"{row['file']} ({row['prompt']!r})" for row in now.rows if row["file"] in dark)
        rank_zero_info(f"warning: black all over and left out of the check: {printable(named)}")
    return kept


def evidence(base: Base, now: Drawn, kept: list[int]) -> Evidence:
    """Both sides as the guards take them: pictures in the order of the prompts, held-out losses in that of times."""
    before, after = dict(base["held_out"]), dict(now.held_out)
    times = sorted(before.keys() & after.keys())
    first, second = (
        Side(
            colours=colours[kept].numpy() if kept else None,
            features=layouts[kept].numpy() if layouts is not None else None,
            losses=np.array([losses[time] for time in times], dtype=np.float32),
        )
        for colours, layouts, losses in (
            (base["colours"], base["layouts"], before),
            (now.colours, now.layouts, after),
        )
    )
    return Evidence([now.rows[i]["prompt"] for i in kept], first, second, times=np.array(times, dtype=np.float32))


def judged(
    base: Base,
    now: Drawn,
    *,
    step: int,
    judges: Mapping[str, Judge],
    guards: Sequence[Callable[[Evidence], list[Finding]]],
) -> Check:
    """A check against step 0."""
    kept = counting(base, now)
    seen = evidence(base, now, kept)
    files = [now.rows[i]["file"] for i in kept]
    return Check.against(
        *({file: side[file] for file in files} for side in (base["scores"], now.scores)),
        step=step,
        ties={criterion: judge.tie for criterion, judge in judges.items()},
        held_out_ratio=_ratio(now.held_out_loss, base["held_out_loss"]),
        prompts=seen.prompts,
        guards=[finding for guard in guards for finding in guard(seen)],
    )


def cards(judges: Mapping[str, Judge]) -> dict[str, Any]:
    """Criterion -> the description of its judge."""
    return {criterion: judge_card(judge) for criterion, judge in judges.items()}


def _ratio(value: float | None, base: float | None) -> float | None:
    return value / base if value is not None and base is not None and math.isfinite(value) else None
