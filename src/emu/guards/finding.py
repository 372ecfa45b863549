"""What a guard says: a number with its interval, the threshold it is held against, and a sentence in plain words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from emu.statistics.bootstrap import Interval

State = Literal["held", "unsure", "broken", "not measured"]


@dataclass(frozen=True)
class Finding:
    """One guard's word on one side against the other.

    Args:
        guard: its name, as reports and stop reasons call it.
        sentence: what was found, without a full stop.
        state: "broken" only where the whole interval is beyond the threshold, "held" where it is wholly within, else
            "unsure"; "not measured" where something that it needs is absent, and the sentence says what.
        value, ci95, threshold: in `unit`; None where nothing was measured.
        unit: what the number is, in words.
        parts: further figures behind the number, such as those of each category.
    """

    guard: str
    sentence: str
    state: State
    value: float | None = None
    ci95: Interval | None = None
    threshold: float | None = None
    unit: str = ""
    parts: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Finding":
        """The inverse of `dataclasses.asdict`, also by way of JSON."""
        return cls(**{**row, "ci95": tuple(row["ci95"]) if row["ci95"] else None})


def not_measured(guard: str, why: str) -> Finding:
    """A guard that has nothing to go by."""
    return Finding(guard, f"not measured: {why}", "not measured")


def at_least(ci95: Interval, threshold: float) -> State:
    """The state of a number that must not fall below `threshold`."""
    return "broken" if ci95[1] < threshold else "held" if ci95[0] >= threshold else "unsure"


def at_most(ci95: Interval, threshold: float) -> State:
    """The state of a number that must not rise above `threshold`."""
    return "broken" if ci95[0] > threshold else "held" if ci95[1] <= threshold else "unsure"


def within(ci95: Interval, threshold: float) -> State:
    """The state of a number that must stay between -threshold and threshold."""
    states = at_most(ci95, threshold), at_least(ci95, -threshold)
    return "broken" if "broken" in states else "held" if states == ("held", "held") else "unsure"
