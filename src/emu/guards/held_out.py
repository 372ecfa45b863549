"""Held-out loss by timestep: whether the model still explains pictures of the curated kind that it has not seen.

Pictures are paired with themselves at step 0, with the same noise and the same time, so small changes show. A rising
loss at some times is what learning by heart looks like before it can be seen; a falling one proves nothing, since
quality-tuning is over long before the loss is.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from emu.guards.evidence import Evidence, Numbers
from emu.guards.finding import Finding, at_most, not_measured
from emu.statistics import ratio_interval, simultaneous_level

NAME = "held-out loss"
PARTS = 4  # of the time from 0 to 1
LEAST = 4  # pictures that a part needs to be told


@dataclass(frozen=True)
class HeldOut:
    """Broken where the loss, over all times or in a quarter of them, is above `threshold` times that of step 0."""

    threshold: float

    def __call__(self, evidence: Evidence) -> list[Finding]:
        before, after, times = evidence.before.losses, evidence.after.losses, evidence.times
        if before is None or after is None or times is None or len(before) < 2:
            return [not_measured(NAME, "fewer than two pictures are held out (data.held_out)")]
        if not np.isfinite([before, after]).all() or before.sum() == 0:
            return [not_measured(NAME, "a held-out loss is no number above 0")]
        ratio, ci95 = float(after.sum() / before.sum()), ratio_interval(after, before)
        parts = quarters(before, after, times)
        risen = [part for part in parts if part["ci95"][0] > self.threshold]
        state = "broken" if risen else at_most(ci95, self.threshold)
        where = ", ".join(f"{part['from']:g} to {part['to']:g}" for part in risen)
        return [
            Finding(
                guard=NAME,
                sentence=f"the held-out loss is {ratio:.2f} times that of step 0"
                + (f", and higher for sure at times {where}" if risen else ""),
                state=state,
                value=ratio,
                ci95=ci95,
                threshold=self.threshold,
                unit="times that of step 0, at most",
                parts=parts,
            )
        ]


def quarters(before: Numbers, after: Numbers, times: Numbers) -> list[dict[str, Any]]:
    """Each quarter of the time with its ratio; the intervals hold all at once with 95 %."""
    level = simultaneous_level(PARTS)
    parts: list[dict[str, Any]] = []
    for i in range(PARTS):
        inside = (times >= i / PARTS) & (times < (i + 1) / PARTS)
        if inside.sum() >= LEAST and before[inside].sum() > 0:
            ratio = float(after[inside].sum() / before[inside].sum())
            ci95 = ratio_interval(after[inside], before[inside], level=level)
            parts.append({"from": i / PARTS, "to": (i + 1) / PARTS, "value": ratio, "ci95": ci95})
    return parts
