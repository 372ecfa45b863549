"""What a guard finds: a number with its interval, the threshold it is held against, and a sentence in plain words."""

from dataclasses import dataclass, field, replace
from typing import Literal

from emu.statistics.intervals import Interval

State = Literal["held", "unsure", "broken", "not measured"]
Kind = Literal["at_least", "at_most", "within"]
KINDS: dict[str, Kind] = {"at least": "at_least", "at most": "at_most", "either way": "within"}
Part = dict[str, str | float | bool | Interval | None]


@dataclass(frozen=True)
class Finding:
    """What one guard finds on one side against the other; a row of `quality.json` and `verdict.json`.

    Args:
        guard: its name, as reports and stop reasons call it.
        sentence: what was found, without a full stop.
        state: "broken" only where the whole interval is beyond the threshold, "held" where it is wholly within, else
            "unsure"; "not measured" where something that the guard needs is absent, and the sentence says what.
        value, ci95, threshold: in `unit`; None where nothing was measured.
        unit: what the number is, in words.
        kind: whether the number should be at least or at most the threshold, or within -threshold and threshold.
        unchanged: the number where both sides are alike: 0 of a difference, 1 of a ratio.
        parts: further figures behind the number, such as those of each category.
    """

    guard: str
    sentence: str
    state: State
    value: float | None = None
    ci95: Interval | None = None
    threshold: float | None = None
    unit: str = ""
    kind: Kind | None = None
    unchanged: float = 0.0
    parts: list[Part] = field(default_factory=list)

    def of_today(self) -> "Finding":
        """Itself; a finding of earlier versions, which says its kind in the unit, as it is written now."""
        unit, _, words = self.unit.rpartition(", ")
        if self.kind or words not in KINDS:
            return self
        return replace(self, unit=unit, kind=KINDS[words], unchanged=float(unit.startswith("times")))


def not_measured(guard: str, why: str) -> Finding:
    """Of a guard that has nothing to go by."""
    return Finding(guard, f"not measured: {why}", "not measured")


def state_of(ci95: Interval, kind: Kind, threshold: float) -> State:
    """What an interval says of the number that it is of."""
    low, high = ci95
    least = -threshold if kind == "within" else threshold
    if (kind != "at_least" and low > threshold) or (kind != "at_most" and high < least):
        return "broken"
    return "held" if (kind == "at_least" or high <= threshold) and (kind == "at_most" or low >= least) else "unsure"
