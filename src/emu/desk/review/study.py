"""An open review: the pictures, the plan, and the order in which people look.

The first start fixes pictures and passes in the database; a later start must bring the same. The guideline may change:
which one stood from when on is kept.
"""

import hashlib
import hmac
import random
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, insert, select

from emu.desk.database import Database, studies
from emu.desk.review.pictures import Shown, taste
from emu.desk.review.plan import Pass, Plan
from emu.desk.review.tables import guidelines
from emu.errors import UserError

FILE = "review.sqlite"


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
    pictures: dict[str, Shown]
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


def open_review(database: Database, folder: Path, pictures: dict[str, Shown], plan: Plan) -> Review:
    """The review of a folder, begun where there is none yet.

    Raises:
        UserError: the folder's pictures, or the database's review, are others.
    """
    fingerprint = hashlib.sha256("".join(sorted(pictures)).encode()).hexdigest()
    passes = [one.row() for one in plan.passes]
    with database.writing() as connection:
        if connection.execute(select(studies.c.id)).first() is None:
            begun = {"fingerprint": fingerprint, "options": {"passes": passes}, "secret": secrets.token_bytes(32)}
            connection.execute(insert(studies).values(id=1, **begun))
        stored = connection.execute(select(studies)).mappings().one()
        where = database.engine.url.render_as_string()
        if "passes" not in stored["options"]:
            raise UserError(f"{where}: holds a vote, not a review; give another --db")
        if stored["fingerprint"] != fingerprint:
            raise UserError(
                f"{where}: is a review of other pictures than {folder} has now; put them back as they were, or begin "
                "anew with another --db"
            )
        if stored["options"]["passes"] != passes:
            raise UserError(f"{where}: was begun with another plan; give that with -c, or begin anew with another --db")
        _note_guideline(connection, plan.guideline)
    return Review(
        database=database,
        folder=folder,
        pictures=pictures,
        plan=plan,
        ranks=_ranks(pictures, stored["secret"], taste(folder)),
        overlapping={one.name: _overlapping(pictures, stored["secret"], one) for one in plan.passes},
    )


def _ranks(pictures: dict[str, Shown], secret: bytes, places: dict[str, int]) -> dict[str, int]:
    """A shuffled order; where `emu taste` has ranked the pictures, its order."""
    order = sorted(pictures)
    random.Random(secret).shuffle(order)
    order.sort(key=lambda key: places.get(pictures[key].file, len(order)))
    return {key: place for place, key in enumerate(order)}


def _overlapping(pictures: Iterable[str], secret: bytes, one: Pass) -> frozenset[str]:
    """The share of the pictures with the smallest numbers, which hang on the secret: as many as asked for, to one."""

    def number(key: str) -> bytes:
        return hmac.digest(secret, f"overlap {one.name} {key}".encode(), "sha256")

    shuffled = sorted(pictures, key=number)
    return frozenset(shuffled[: round(one.overlap * len(shuffled))])


def _note_guideline(connection: Connection, text: str) -> None:
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    newest = select(guidelines.c.sha256).order_by(guidelines.c.id.desc()).limit(1)
    if connection.execute(newest).scalar() != sha256:
        connection.execute(insert(guidelines).values(sha256=sha256, text=text))
