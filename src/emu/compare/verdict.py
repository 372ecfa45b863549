"""The verdict of a comparison: these dataclasses are the schema of `verdict.json`.

Rates are percent of pairs, `net` is win - lose in points, and `ci95` is always a 95 % interval, null of the mean of one
prompt. A criterion that a run was not judged by is absent from the file, and so is whatever nobody asked for.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

from emu.guards import Finding
from emu.statistics import MeanDifference, Rates, Shares
from emu.statistics.intervals import Interval
from emu.storage.records import left_out, read_json
from emu.storage.shapes import Card

Criterion = Literal["appeal", "faithfulness"]
CRITERIA: tuple[Criterion, ...] = ("appeal", "faithfulness")
T = TypeVar("T")


@dataclass(frozen=True)
class Opinion(Rates):
    """What one judge says; `prefers` is None where the interval of win - lose holds 0."""

    judge: str
    family: str | None
    prefers: Literal["after", "before"] | None


@dataclass(frozen=True)
class JudgePair:
    """Two judges: of how many percent of the pairs they say the same, and Cohen's kappa (None: chance would agree)."""

    judges: tuple[str, str]
    same: float
    kappa: float | None


@dataclass(frozen=True)
class Agreement:
    """Whether judges of different families prefer one side, in words too; `agree` is None where all are of one."""

    agree: bool | None
    words: str
    pairs: list[JudgePair]


@dataclass(frozen=True)
class JudgedRates(Rates):
    """The headline judge's rates, and p of the exact sign test."""

    judge: str
    p: float


@dataclass(frozen=True)
class CriterionVerdict(JudgedRates):
    """The same of all prompts, with what every judge says, the headline's first."""

    opinions: list[Opinion]
    agreement: Agreement


@dataclass(frozen=True)
class Group:
    """The prompts with one value in a `column` of the prompt file."""

    column: str
    prompts: int
    pairs: int
    appeal: JudgedRates | None = left_out()
    faithfulness: JudgedRates | None = left_out()

    @property
    def rates(self) -> dict[str, JudgedRates]:
        """By criterion, where it was judged."""
        return _judged(self.appeal, self.faithfulness)


@dataclass(frozen=True)
class AllRaters(Shares):
    """Of everybody who voted, those below the attention bar among them."""

    raters: int


@dataclass(frozen=True)
class JudgeOfPeople:
    """Of how many percent of the pairs the headline judge says what most people say, and Cohen's kappa."""

    name: str
    same: float
    kappa: float | None


@dataclass(frozen=True)
class People(Rates):
    """What people said: by the majority of each pair's votes, over raters above the attention bar.

    Args:
        alpha: Krippendorff's; None where it is not defined.
        pooled: in percent of votes; None where there are none.
        judge: None where no judge has scored the pictures.
    """

    p: float
    pairs: int
    prompts: int
    votes: int
    raters: int
    alpha: float | None
    pooled: Shares | None
    all: AllRaters
    judge: JudgeOfPeople | None


@dataclass(frozen=True)
class Change(MeanDifference):
    """How a mean over all pictures moved; `noted` is a word where one would notice and it is sure, else None."""

    noted: str | None


@dataclass(frozen=True)
class ReadShare:
    """Of the pictures whose prompt asks for an attribute, the percentage in which the value asked for is read."""

    prompts: int
    before: float
    after: float
    net: float
    net_ci95: Interval


@dataclass(frozen=True)
class AttributeValue(ReadShare):
    """Of the prompts that ask for one value; `groups` are those that these prompts are in."""

    groups: list[str]


@dataclass(frozen=True)
class Attribute(ReadShare):
    """An attribute such as colour: of all prompts that ask for it, of each group of them, and of each value."""

    groups: dict[str, ReadShare]
    values: dict[str, AttributeValue]


@dataclass(frozen=True)
class Attributes:
    """What a reader sees in the pictures, against the columns of the prompt file of the same names."""

    reader: dict[str, str | float]
    read: dict[str, Attribute]


@dataclass(frozen=True)
class ReferenceFolder:
    """The pictures that both sides are measured against."""

    folder: str
    pictures: int


@dataclass(frozen=True)
class SetFigures:
    """One side as a set. 0 is alike for `fid`, `kid`, `cmmd`; `kid_sd`: how much `kid` would move on other pictures."""

    pictures: int
    fid: float
    kid: float
    kid_sd: float
    cmmd: float
    precision: float
    recall: float


@dataclass(frozen=True)
class Sets:
    """Both sides against a reference, seen by an embedder (`features`); `warning` where there are few pictures."""

    reference: ReferenceFolder
    features: dict[str, str | float]
    before: SetFigures
    after: SetFigures
    warning: str | None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is said of one run, or of two folders.

    Args:
        before, after: how the two sides are called; `before_step` and `after_step` are None of folders.
        people: criterion -> what people said; `unheard`: criterion -> raters, where none of them passed the checks.
        groups: the prompts of each category.
        features: how the guards tell near pictures from far ones.
        drift: measure -> how it moved, from 0 to 1.
        alone: files without a partner, `unpaired` of them, which do not count.
        black: pairs that do not count since a picture is black all over.
        unasked: pairs of which nobody knows what they were to show, so that faithfulness is judged of the others alone.
        notes: what else is to be known of how the pairs came about.
        judges: column of scores -> the judge's description of itself; the headline's under the criterion alone.
    """

    name: str
    model: str | None = None
    before: str
    after: str
    before_step: int | None = None
    after_step: int | None = None
    prompts: int
    pairs: int
    appeal: CriterionVerdict | None = left_out()
    faithfulness: CriterionVerdict | None = left_out()
    people: dict[str, People] = field(default_factory=dict)
    unheard: dict[str, int] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    attributes: Attributes | None = left_out()
    guards: list[Finding] = field(default_factory=list)
    features: str = ""
    drift: dict[str, Change] = field(default_factory=dict)
    sets: Sets | None = left_out()
    unpaired: int = 0
    alone: list[str] = field(default_factory=list)
    black: int = 0
    unasked: int = 0
    notes: list[str] = field(default_factory=list)
    stop_reason: str | None = None
    judges: dict[str, Card] = field(default_factory=dict)

    @property
    def rates(self) -> dict[str, CriterionVerdict]:
        """By criterion, where it was judged."""
        return _judged(self.appeal, self.faithfulness)


@dataclass(frozen=True)
class Verdicts:
    """`verdict.json`: one sentence that is true of all runs, and the verdict on each."""

    headline: str
    runs: list[Verdict]
    schema: Literal[1] = 1

    @classmethod
    def read(cls, path: Path) -> "Verdicts":
        """A `verdict.json`, of an earlier version too. UserError: it is none, or of a later schema."""
        found: Verdicts = read_json(path, cls, remedy="compare again with this version of emu")
        return found


def _judged(appeal: T | None, faithfulness: T | None) -> dict[str, T]:
    return {name: rates for name, rates in zip(CRITERIA, (appeal, faithfulness), strict=True) if rates is not None}
