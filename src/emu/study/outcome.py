"""What a study came to: these dataclasses are the schema of `study.json`, and what table and plot are made of.

Rates are percent of draws, win - lose is in points, and every `ci95` is a 95 % interval that takes prompts as its
units; the mean of one prompt has none. A criterion that the runs were not judged by is absent.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from emu.statistics import MeanDifference, NetRate, WinRate
from emu.statistics.intervals import Interval
from emu.storage.records import left_out, read_json
from emu.study.plan import Overrides


@dataclass(frozen=True)
class GuardNumber:
    """A guard's number in one run."""

    value: float
    ci95: Interval


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Of the runs of an arm, each at a step, against their own step 0; `score` is the mean appeal."""

    appeal: WinRate | None = left_out()
    faithfulness: WinRate | None = left_out()
    faithfulness_net: NetRate | None = left_out()
    score: MeanDifference | None = left_out()
    drift: dict[str, MeanDifference]


@dataclass(frozen=True, kw_only=True)
class CurvePoint(Figures):
    """All runs of an arm at one step; `guards` has the number of every run where all have measured it."""

    step: int
    guards: dict[str, list[GuardNumber]]


@dataclass(frozen=True)
class AgainstReference:
    """Of runs, each at a step, against those of the reference, over the prompts and seeds that both drew."""

    appeal: WinRate | None = left_out()
    appeal_net: NetRate | None = left_out()
    faithfulness: WinRate | None = left_out()
    faithfulness_net: NetRate | None = left_out()


@dataclass(frozen=True, kw_only=True)
class Arm(Figures):
    """The best steps of an arm's runs, and how it went there.

    Args:
        curve: every step that all of its runs reached.
        against: its best pictures against the best of the reference.
        against_last: the same at the last step that both reached, for best steps may be far apart.
    """

    seeds: list[int]
    best_steps: list[int]
    stop_reasons: list[str]
    curve: list[CurvePoint]
    against: AgainstReference | None = left_out()
    against_last: AgainstReference | None = left_out()


@dataclass(frozen=True)
class Untuned:
    """The arm without tuning: step 0 of the reference against its own best, and against its last."""

    against: AgainstReference
    against_last: AgainstReference


@dataclass(frozen=True, kw_only=True)
class StudyOutcome:
    """`study.json`: what was asked, as `emu.study.plan.Study` has it, and what came of it, arm by arm."""

    question: str
    base: str
    set: Overrides
    overrides: dict[str, Overrides]
    reference: str | None
    arms: dict[str, Arm]
    before: Untuned | None = left_out()
    schema: Literal[1] = 1

    @classmethod
    def read(cls, path: Path) -> "StudyOutcome":
        """A `study.json`, of an earlier version too. UserError: it is none, or of a later schema."""
        found: StudyOutcome = read_json(path, cls, remedy="make it again with this version's `emu study`")
        return found
