"""A study: the pictures and options that a page was begun with, and the secret that all shuffling hangs on.

The first start fixes them in the database. A later start must bring the same pictures; which options may change is the
page's own rule.
"""

import hashlib
import secrets
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from sqlalchemy import insert, select, update

from emu.desk.database import Database, studies
from emu.errors import UserError
from emu.storage.records import build, fault

Options = TypeVar("Options")  # a page's dataclass of options


@dataclass(frozen=True)
class Begun(Generic[Options]):
    """What a database holds; `fingerprint` is that of the pictures."""

    fingerprint: str
    options: Options
    secret: bytes


@contextmanager
def opened(url: str | None, file: Path, *, begun: bool, missing: str) -> Iterator[Database]:
    """The database of a URL; without one that of a file.

    Args:
        begun: only where something was begun in it; UserError (`missing`) otherwise.
    """
    if begun and not (Database.is_there(url) if url else file.exists()):
        raise UserError(f"{url or file.parent}: {missing}")
    with closing(Database(url) if url else Database.in_file(file)) as database:
        if begun and not _is_begun(database):
            raise UserError(f"{database.name}: {missing}")
        yield database


def fingerprint(pictures: Iterable[str]) -> str:
    """Of all pictures of a study, by what each is known by."""
    return hashlib.sha256("".join(sorted(pictures)).encode()).hexdigest()


def begun(database: Database, options: type[Options]) -> Begun[Options] | None:
    """What was begun in a database, or None. UserError where that belongs to another page, which has other options."""
    with database.reading() as connection:
        row = connection.execute(select(studies)).one_or_none()
    if row is None:
        return None
    if fault(row.options, options):
        raise UserError(f"{database.name}: holds the answers of another page of emu; give another --db")
    return Begun(row.fingerprint, build(row.options, options), row.secret)


def begin(database: Database, pictures: Iterable[str], options: Any, *, kind: str) -> Begun[Any]:
    """What stands in a database once it has been begun with these pictures and options, or was before.

    Args:
        pictures: what each is known by.
        options: a dataclass; those of an earlier start stand.
        kind: "a vote on" or "a review of", for the message.

    Raises:
        UserError: it was begun with other pictures, or by another page.
    """
    mark = fingerprint(pictures)
    row = {"id": 1, "fingerprint": mark, "options": asdict(options), "secret": secrets.token_bytes(32)}
    with database.writing() as connection:
        if connection.execute(select(studies.c.id)).first() is None:
            connection.execute(insert(studies).values(row))
    found = begun(database, type(options))
    assert found is not None
    if found.fingerprint != mark:
        raise UserError(
            f"{database.name}: is {kind} other pictures than there are now; bring back those it was begun with, or "
            "begin anew with another --db"
        )
    return found


def _is_begun(database: Database) -> bool:
    with database.reading() as connection:
        return connection.execute(select(studies.c.id)).first() is not None


def change_options(database: Database, options: Any) -> None:
    """Let the study go on with these options."""
    with database.writing() as connection:
        connection.execute(update(studies).values(options=asdict(options)))
