"""`votes.json`: what people said of a run's pairs. These dataclasses are its schema (docs/architecture.md).

What has a default may be absent: a file of before, or by another's hand, says less.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from emu.layouts import runs
from emu.statistics import WinRate
from emu.statistics.strengths import Strength
from emu.storage import files
from emu.storage.records import left_out, read_json, to_json


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Votes on one set of matches; "win" is the second picture's, which is the one after tuning.

    Args:
        majority: in percent of `pairs`, with the Wilson interval of the wins.
        pooled: in percent of `votes`, with Wilson's interval at their effective number; None below two prompts.
        alpha: Krippendorff's, over the answers as given; None where it is not defined.
    """

    pairs: int = 0
    votes: int = 0
    majority: WinRate
    pooled: WinRate | None
    alpha: float | None


@dataclass(frozen=True)
class Question:
    """Of raters above the attention bar, and of all; None where nobody has answered it."""

    kept: Tally | None
    all: Tally | None


@dataclass(frozen=True, kw_only=True)
class Attention:
    """One rater in one question.

    Args:
        passed: of `checks`.
        consistent: of `repeats`, how many got the answer of the first time.
        left: share of the answers A or B that are A, None where there are none; near 0.5 for who looks.
        commonest: share of the commonest answer; near 1 for who presses one key.
        seconds: median time with a pair.
        kept: whether the bar lets this rater count.
    """

    rater: str = ""
    question: str
    votes: int
    checks: int = 0
    passed: int = 0
    repeats: int = 0
    consistent: int = 0
    left: float | None = None
    commonest: float = 0.0
    seconds: float = 0.0
    kept: bool


@dataclass(frozen=True)
class Cast:
    """How many votes of a pair say what."""

    after: int
    tie: int
    before: int


@dataclass(frozen=True)
class Voted:
    """A pair, its two files, and its votes by question: those of raters above the attention bar, and all."""

    prompt: str
    seed: int
    key: str
    before: str = ""
    after: str = ""
    appeal: Cast | None = left_out()
    appeal_all: Cast | None = left_out()
    faithfulness: Cast | None = left_out()
    faithfulness_all: Cast | None = left_out()

    def cast(self, question: str) -> Cast | None:
        """The votes of raters above the bar; None where the question was not asked."""
        return {"appeal": self.appeal, "faithfulness": self.faithfulness}[question]


@dataclass(frozen=True, kw_only=True)
class VoteOutcome:
    """The file."""

    before: str = ""
    after: str = ""
    rules: dict[str, str] = field(default_factory=dict)
    questions: dict[str, Question]
    raters: list[Attention]
    pairs: list[Voted]
    strengths: dict[str, list[Strength]] = field(default_factory=dict)
    schema: Literal[1] = 1


def read_voted(run: Path) -> VoteOutcome | None:
    """What `emu vote RUN --results` counted; None where nobody has voted, or the votes were not counted yet."""
    path = run / runs.VOTES
    if not path.exists():
        return None
    votes: VoteOutcome = read_json(path, VoteOutcome, remedy="count the votes again with `emu vote --results`")
    return votes


def write_voted(run: Path, votes: VoteOutcome) -> None:
    """Into the run's folder, whole or not at all."""
    files.write(run / runs.VOTES, to_json(votes))
