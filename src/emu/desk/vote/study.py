"""A study: the matches that are voted on, its options, and the secret that all shuffling hangs on.

The first start fixes the study in its database. A later start must bring the same pictures; of the options only the
number of votes may change.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select, update

from emu.compare.pairs import Run
from emu.desk.database import Database, studies
from emu.desk.vote.matches import Match, matches
from emu.desk.vote.questions import APPEAL, FAITHFULNESS
from emu.errors import UserError


@dataclass(frozen=True)
class Options:
    """How a study is run.

    Args:
        prompts: at most so many pairs of a run, evenly spread over its list.
        appeal: votes wanted on each pair's visual appeal, each by another rater; 0 leaves the question out.
        faithfulness: the same for text faithfulness.
        checks: share of cards whose right answer is known, in [0, 0.5].
        repeats: share of cards that show an answered pair again, in [0, 0.5].
        training: cards with the answer told, at the start of each question.
        across: also pair the tuned pictures of every two runs.
    """

    prompts: int = 300
    appeal: int = 5
    faithfulness: int = 3
    checks: float = 0.1
    repeats: float = 0.05
    training: int = 4
    across: bool = False

    def wanted(self, question: str) -> int:
        return {APPEAL: self.appeal, FAITHFULNESS: self.faithfulness}[question]


@dataclass(frozen=True)
class Study:
    """An open study; `matches` by key."""

    database: Database
    matches: dict[str, Match]
    options: Options
    secret: bytes
    numbers: dict[tuple[object, ...], int] = field(default_factory=dict, repr=False, compare=False)

    @property
    def questions(self) -> list[str]:
        """In the order in which they are asked."""
        return [question for question in (APPEAL, FAITHFULNESS) if self.options.wanted(question)]

    def number(self, *about: object) -> int:
        """HMAC-SHA256(secret, about) as a number: what nobody without the secret can foretell, and never changes."""
        found = self.numbers.get(about)
        if found is None:  # a few for every rater and match: kept, since each answer asks for hundreds of them
            found = int.from_bytes(hmac.digest(self.secret, repr(about).encode(), "sha256"), "big")
            self.numbers[about] = found
        return found


def open_study(database: Database, runs: Sequence[Run], **asked: Any) -> Study:
    """The study of these runs, begun where there is none yet.

    Args:
        asked: options as `Options` has them; None for what was not said.

    Raises:
        UserError: the database holds a study of other pictures, or was begun with other options.
    """
    given = {name: value for name, value in asked.items() if value is not None}
    _check(given)
    stored = stored_study(database)
    options = Options(**given) if stored is None else _merged(stored["options"], given)
    found = matches(runs, limit=options.prompts, across=options.across)
    fingerprint = hashlib.sha256("".join(sorted(found)).encode()).hexdigest()
    if stored is not None and stored["fingerprint"] != fingerprint:
        raise UserError(
            f"{database.engine.url.render_as_string()}: holds votes on other pictures (other runs, or drawn again "
            "since); give the runs it was begun with, or another --db"
        )
    with database.writing() as connection:
        if connection.execute(select(studies.c.id)).first() is None:
            row = {"id": 1, "fingerprint": fingerprint, "options": asdict(options), "secret": secrets.token_bytes(32)}
            connection.execute(insert(studies).values(row))
        elif stored is not None:
            connection.execute(update(studies).values(options=asdict(options)))
    begun = stored_study(database)
    assert begun is not None
    return Study(database, found, options, begun["secret"])


def file_in(run: Path) -> Path:
    """Where a study is kept that names no database."""
    return run.resolve() / "votes.sqlite"


def stored_study(database: Database) -> dict[str, Any] | None:
    """The database's one row of a study, or None where none was begun."""
    with database.reading() as connection:
        row = connection.execute(select(studies)).mappings().first()
        return None if row is None else dict(row)


def _merged(stored: Mapping[str, Any], given: Mapping[str, Any]) -> Options:
    options = Options(**stored)
    for name, value in given.items():
        if name not in (APPEAL, FAITHFULNESS) and value != stored[name]:
            flag = f"--{name}"
            raise UserError(f"{flag} {value}: this study was begun with {stored[name]}; leave {flag} out")
    return replace(options, **given)


def _check(given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if name in ("checks", "repeats") and not 0 <= value <= 0.5:
            raise UserError(f"--{name} {value}: give a share from 0 to 0.5")
        if name in ("prompts",) and value < 1:
            raise UserError(f"--{name} {value}: give a number above 0")
        if name in (APPEAL, FAITHFULNESS, "training") and value < 0:
            raise UserError(f"--{name} {value}: give 0 or more")
    if given.get(APPEAL) == 0 and given.get(FAITHFULNESS) == 0:
        raise UserError("--appeal 0 --faithfulness 0: nothing is left to ask; give votes to one of them")
