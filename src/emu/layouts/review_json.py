"""`review.json`: what people decided of a curated folder's pictures. These dataclasses are its schema (docs/review.md).

What has a default may be absent: a file of before, or by another's hand, says less.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypedDict

from emu.layouts.curated_folder import REVIEW
from emu.storage.records import left_out, read_json


@dataclass(frozen=True)
class Cast:
    """Votes on a picture in a pass, and where an arbiter settled it "keep" or "reject"."""

    keep: int
    reject: int
    ruling: str | None = left_out()


@dataclass(frozen=True)
class Reviewed:
    """A picture: kept, or the pass that it `left`, or the pass in which it `waits`; and the caption that stands."""

    file: str
    votes: dict[str, Cast] = field(default_factory=dict)
    kept: bool = False
    left: str | None = None
    waits: str | None = None
    text: str | None = None
    caption_source: str | None = None


@dataclass(frozen=True)
class PassOutcome:
    """A pass: the pictures that came into it and what became of them, its votes, and how far raters agree.

    Args:
        pictures: looked at.
        waiting: looks that are missing -> how many pictures wait for as many.
        alpha: Krippendorff's, keep against reject; None where no two raters looked at one picture.
        reasons: for rejections, the commonest first.
    """

    name: str
    page: str | None = None
    rule: str | None = None
    entered: int | None = None
    pictures: int | None = None
    kept: int | None = None
    rejected: int | None = None
    open: int | None = None
    waiting: dict[int, int] = field(default_factory=dict)
    disputed: int | None = None
    votes: int | None = None
    rulings: int | None = None
    raters: int | None = None
    alpha: float | None = None
    began: str | None = None
    ended: str | None = None
    reasons: dict[str, int] = field(default_factory=dict)


# A rater, by number, in a pass; `seconds` is the median with a picture. (No field of a class can be named `pass`.)
RaterOutcome = TypedDict("RaterOutcome", {"rater": int, "pass": str, "looked": int, "kept": int, "seconds": float})


@dataclass(frozen=True)
class Version:
    """A guideline, and since when it stood."""

    sha256: str
    since: str


@dataclass(frozen=True)
class Guideline:
    """What raters were given to read: the newest, and since when each stood."""

    sha256: str | None = None
    text: str | None = None
    versions: list[Version] = field(default_factory=list)


@dataclass(frozen=True)
class ReviewOutcome:
    """The file."""

    pictures: list[Reviewed]
    passes: list[PassOutcome] = field(default_factory=list)
    raters: list[RaterOutcome] = field(default_factory=list)
    guideline: Guideline = Guideline()
    schema: Literal[1] = 1


def read_review(folder: Path) -> ReviewOutcome | None:
    """What `emu review --results` counted; None where nobody has looked yet."""
    path = folder / REVIEW
    if not path.exists():
        return None
    review: ReviewOutcome = read_json(path, ReviewOutcome, remedy="count again with `emu review --results`")
    return review
