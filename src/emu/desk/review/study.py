"""An open review: the pictures, the plan, and the order in which people look.

The first start fixes pictures and passes in the database; a later start must bring the same. The guideline may change:
which one stood from when on is kept.
"""

import hashlib
import hmac
import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import insert, select

from emu.desk import study
from emu.desk.database import Database
from emu.desk.review.pictures import Candidate, read_pictures, taste
from emu.desk.review.plan import Pass, Plan
from emu.desk.review.tables import guidelines
from emu.desk.study import begin
from emu.errors import UserError

FILE = "review.sqlite"


@dataclass(frozen=True)
class Passes:
    """What a review is begun with."""

    passes: list[Pass]


@dataclass(frozen=True)
class Review:
    """An open review.

    Args:
        pictures: by key.
        ranks: key -> its place in the order in which people look.
        overlapping: by pass, the pictures that one rater more looks at.
    """

    database: Database
    folder: Path
    pictures: dict[str, Candidate]
    plan: Plan
    ranks: dict[str, int]
    overlapping: dict[str, frozenset[str]]

    def named(self, name: str) -> Pass:
        """The pass of that name; UserError where there is none."""
        found = next((one for one in self.plan.passes if one.name == name), None)
        if found is None:
            raise UserError(f"--pass {name}: the plan has {', '.join(one.name for one in self.plan.passes)}")
        return found

    def wanted(self, one: Pass, key: str) -> int:
        """How many raters the plan lets look at a picture in a pass."""
        return one.votes + (key in self.overlapping[one.name])


@contextmanager
def opened(folder: Path, plan: Plan, *, url: str | None, begun: bool) -> Iterator[Review]:
    """The review of a folder.

    Args:
        url: the database's; None for a file in the folder.
        begun: only if there is one already; UserError otherwise.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give one that emu curate made")
    missing = f"no review yet; open the page first with emu review {folder}"
    pictures = read_pictures(folder)
    with study.opened(url, folder.resolve() / FILE, begun=begun, missing=missing) as database:
        yield open_review(database, folder, pictures, plan)


def open_review(database: Database, folder: Path, pictures: dict[str, Candidate], plan: Plan) -> Review:
    """The review of a folder, begun where there is none yet.

    Raises:
        UserError: the database holds a review of other pictures, or with another plan.
    """
    stands = begin(database, pictures, Passes(plan.passes), kind="a review of")
    if stands.options.passes != plan.passes:
        raise UserError(
            f"{database.name}: was begun with another plan; give that one with -c, or begin anew with another --db"
        )
    _note_guideline(database, plan.guideline)
    ranks = _ranks(pictures, stands.secret, taste(folder))
    overlapping = {one.name: _overlapping(pictures, stands.secret, one) for one in plan.passes}
    return Review(database, folder, pictures, plan, ranks, overlapping)


def _ranks(pictures: dict[str, Candidate], secret: bytes, places: dict[str, int]) -> dict[str, int]:
    """A shuffled order; where `emu taste` has ranked the pictures, its order."""
    order = sorted(pictures)
    random.Random(secret).shuffle(order)
    order.sort(key=lambda key: places.get(pictures[key].file, len(order)))
    return {key: place for place, key in enumerate(order)}


def _overlapping(pictures: Iterable[str], secret: bytes, one: Pass) -> frozenset[str]:
    """As many pictures as the pass asks for, to one: those with the smallest numbers, which hang on the secret."""

    def number(key: str) -> bytes:
        return hmac.digest(secret, f"overlap {one.name} {key}".encode(), "sha256")

    shuffled = sorted(pictures, key=number)
    return frozenset(shuffled[: round(one.overlap * len(shuffled))])


def _note_guideline(database: Database, text: str) -> None:
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    newest = select(guidelines.c.sha256).order_by(guidelines.c.id.desc()).limit(1)
    with database.writing() as connection:
        if connection.execute(newest).scalar() != sha256:
            connection.execute(insert(guidelines).values(sha256=sha256, text=text))
