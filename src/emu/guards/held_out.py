"""Held-out loss by timestep: whether the model still explains pictures of the curated kind that it has not seen.

Pictures are paired with themselves at step 0, with the same noise and the same time, so small changes show. A loss that
rises at some times is the first sign of memorisation, before it shows in pictures; a falling one proves nothing, since
quality-tuning is over long before the loss stops falling.
"""

from dataclasses import dataclass, replace

import numpy as np

from emu.guards.evidence import Evidence, Numbers
from emu.guards.finding import Finding, Part, not_measured
from emu.guards.guard import Guard
from emu.statistics import ratio_interval, simultaneous_level
from emu.statistics.intervals import Interval

NAME = "held-out loss"
PARTS = 4  # of the time from 0 to 1
LEAST = 4  # pictures that a part of it needs


@dataclass(frozen=True)
class HeldOut(Guard):
    """Broken where the loss, over all times or in a quarter of them, is above `threshold` times that of step 0.

    It falls while a run goes well; a tenth above it, and the model explains the curated kind of picture worse than the
    base did.
    """

    threshold: float = 1.1
    kind, unit, unchanged = "at_most", "times that of step 0", 1.0

    def __call__(self, evidence: Evidence) -> list[Finding]:
        before, after, times = evidence.before.losses, evidence.after.losses, evidence.times
        if before is None or after is None or times is None or len(before) < 2:
            return [not_measured(NAME, "fewer than two pictures are held out (data.held_out)")]
        if not np.isfinite([before, after]).all() or before.sum() == 0:
            return [not_measured(NAME, "a held-out loss is not a finite number above 0")]
        ratio, ci95 = float(after.sum() / before.sum()), ratio_interval(after, before)
        quarters = by_time(before, after, times)
        risen = [quarter for quarter in quarters if quarter.ci95[0] > self.threshold]
        where = ", ".join(f"{quarter.start:g} to {quarter.start + 1 / PARTS:g}" for quarter in risen)
        sentence = f"the held-out loss is {ratio:.2f} times that of step 0"
        found = self.found(
            *(NAME, sentence + (f", and higher for sure at times {where}" if risen else ""), ratio, ci95),
            parts=[quarter.part() for quarter in quarters],
        )
        return [replace(found, state="broken") if risen else found]


@dataclass(frozen=True)
class Quarter:
    """The loss at times from `start` on, after / before."""

    start: float
    value: float
    ci95: Interval

    def part(self) -> Part:
        """As a finding keeps it."""
        return {"from": self.start, "to": self.start + 1 / PARTS, "value": self.value, "ci95": self.ci95}


def by_time(before: Numbers, after: Numbers, times: Numbers) -> list[Quarter]:
    """Each quarter of the time with its ratio; the intervals hold all at once with 95 %."""
    level = simultaneous_level(PARTS)
    quarters = []
    for i in range(PARTS):
        inside = (times >= i / PARTS) & (times < (i + 1) / PARTS)
        if inside.sum() >= LEAST and before[inside].min() > 0:  # else a resample may have nothing to be a ratio of
            ratio = float(after[inside].sum() / before[inside].sum())
            quarters.append(Quarter(i / PARTS, ratio, ratio_interval(after[inside], before[inside], level=level)))
    return quarters
