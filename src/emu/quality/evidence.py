"""Step 0 as a run remembers it, and what judges and guards say of a check beside it."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from emu.guards import Evidence, Finding, Side
from emu.judges import Judge, judge_card
from emu.quality.drawing import Drawn
from emu.quality.stopping import Check

Base = dict[str, Any]
"""Of step 0: `digest` of prompts and sampler, `judges`, `scores`, `held_out_loss`, `held_out`, `colours`, `layouts`."""


def step_zero(drawn: Drawn, judges: dict[str, Any]) -> Base:
    """Plain numbers, texts and tensors, so that checkpoints load with `weights_only=True`."""
    return {
        "digest": drawn.digest,
        "judges": judges,
        "scores": drawn.scores,
        "held_out_loss": drawn.held_out_loss,
        "held_out": drawn.held_out,
        "colours": drawn.colours,
        "layouts": drawn.layouts,
    }


def evidence(base: Base, now: Drawn) -> Evidence:
    """Both sides as the guards take them: pictures in the order of the prompts, held-out losses in that of times."""
    before, after = dict(base["held_out"]), dict(now.held_out)
    times = sorted(before.keys() & after.keys())
    prompts = [row["prompt"] for row in now.rows]
    first, second = (
        Side(
            colours=colours.numpy(),
            features=layouts.numpy() if layouts is not None else None,
            losses=np.array([losses[time] for time in times], dtype=np.float32),
        )
        for colours, layouts, losses in (
            (base["colours"], base["layouts"], before),
            (now.colours, now.layouts, after),
        )
    )
    return Evidence(prompts, first, second, times=np.array(times, dtype=np.float32))


def judged(
    base: Base,
    now: Drawn,
    *,
    step: int,
    judges: Mapping[str, Judge],
    guards: Sequence[Callable[[Evidence], list[Finding]]],
) -> Check:
    """A check against step 0."""
    seen = evidence(base, now)
    return Check.against(
        base["scores"],
        now.scores,
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
