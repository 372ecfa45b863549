"""What a guard is: a subclass says how one thing that tuning is known to break has changed."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from emu.guards.evidence import Evidence
from emu.guards.finding import Finding, Kind, Part, not_measured, state_of
from emu.statistics.bootstrap import Interval


class Guard(ABC):
    """Reads the evidence and says what it found; a dataclass, whose fields are its settings in a config.

    It is broken only where the whole 95 % interval is beyond the threshold, so that no run stops by chance.
    """

    threshold: float
    """In `unit`."""
    kind: ClassVar[Kind]
    """Whether numbers should be "at_least" or "at_most" the threshold, or "within" -threshold and threshold."""
    unit: ClassVar[str]
    """What the numbers are, in words, such as "times before"."""
    unchanged: ClassVar[float] = 0.0
    """The number where both sides are alike: 0 of a difference, 1 of a ratio."""

    @abstractmethod
    def __call__(self, evidence: Evidence) -> list[Finding]:
        """A finding for each number that it watches, by `found` or `not_measured`."""

    def found(self, name: str, sentence: str, value: float, ci95: Interval, *, parts: Sequence[Part] = ()) -> Finding:
        """A finding whose state follows from the interval; `sentence` says it without a full stop.

        Nothing was measured where the number has no bounds, and no file of a run would take such ones.
        """
        if not np.isfinite([value, *ci95]).all():
            return not_measured(name, "there is too little to tell how sure the number is")
        return Finding(
            guard=name,
            sentence=sentence,
            state=state_of(ci95, self.kind, self.threshold),
            value=value,
            ci95=ci95,
            threshold=self.threshold,
            unit=self.unit,
            kind=self.kind,
            unchanged=self.unchanged,
            parts=list(parts),
        )
