"""Step 0 as a run remembers it, and what the guards see of a check beside it."""

from typing import Any

import numpy as np

from emu.guards import Evidence, Side
from emu.quality.drawing import Drawn

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
