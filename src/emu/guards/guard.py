"""What a guard is: a subclass says how one thing that tuning is known to break has changed."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, ClassVar, get_args

import numpy as np

from emu import answers
from emu.errors import UserError
from emu.guards.evidence import Evidence
from emu.guards.finding import Finding, Kind, Part, not_measured, state_of
from emu.statistics.intervals import Interval
from emu.storage.records import fault

SAID = {
    "threshold": "the number that is still as it should be",
    "kind": "at_least, at_most or within",
    "unit": "what the numbers are, in words",
}


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

    def findings(self, evidence: Evidence) -> list[Finding]:
        """What it finds. UserError: it gave no list of findings, or values that no file of a run takes."""
        given: Any = self(evidence)
        if not isinstance(given, list | tuple) or not all(isinstance(one, Finding) for one in given):
            raise answers.refuse(self, "__call__", given, "a list of findings, each by found or not_measured")
        for one in given:
            if wrong := fault(asdict(one), Finding):
                raise UserError(f"{answers.name_of(self)}: in the finding {one.guard!r:.60} {wrong}")
        return list(given)

    def require(self) -> None:
        """UserError where the class does not say what its numbers are held against."""
        for name, what in SAID.items():
            if not hasattr(self, name):
                raise answers.lacks(self, name, what)
        if self.kind not in get_args(Kind):
            raise UserError(f"{answers.name_of(self)}: kind is {self.kind!r:.40}; give {SAID['kind']}")

    def found(self, name: str, sentence: str, value: float, ci95: Interval, *, parts: Sequence[Part] = ()) -> Finding:
        """A finding whose state follows from the interval; `sentence` says it without a full stop.

        Nothing was measured where the number has no bounds, and no file of a run would take such ones.
        """
        if not isinstance(ci95, Sequence | np.ndarray) or len(ci95) != 2:
            raise answers.refuse(self, "found, as ci95,", ci95, "the lower and the upper bound")
        if not np.isfinite([value, *ci95]).all():
            return not_measured(name, "there is too little to tell how sure the number is")
        return Finding(
            guard=name,
            sentence=sentence,
            state=state_of(ci95, self.kind, self.threshold),
            value=float(value),
            ci95=(float(ci95[0]), float(ci95[1])),
            threshold=self.threshold,
            unit=self.unit,
            kind=self.kind,
            unchanged=self.unchanged,
            parts=list(parts),
        )
