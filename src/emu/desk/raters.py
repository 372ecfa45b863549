"""Raters: who may answer, by links that nobody can guess and the owner can revoke.

A link is 256 random bits, so no number of guesses finds one and none has to be counted. It may be opened on several
devices; each gets a session of its own, until the rater is invited anew. The database keeps hashes of both.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from emu.desk.database import Database, raters, sessions, studies
from emu.errors import UserError, is_text, printable

LONGEST_NAME = 80


@dataclass(frozen=True)
class Rater:
    """`id` is what answers are kept by, and all that others may know of a rater; `name` is only shown."""

    id: int
    name: str


def invite(database: Database, name: str, admit: Callable[[Connection, int], None] | None = None) -> str:
    """The token of a new link for `name`; a link that the same name had opens no more, nor does what it opened.

    Args:
        admit: what else a page notes of the rater, by id, in the same transaction.
    """
    if not name.strip() or len(name) > LONGEST_NAME or not is_text(name):
        raise UserError(f"--invite {printable(name)[:100]}: give a name of 1 to {LONGEST_NAME} characters, in UTF-8")
    token = secrets.token_urlsafe(32)
    with database.writing() as connection:
        rater = _id(connection, name)
        if rater is None:
            connection.execute(insert(raters).values(name=name))
            rater = _id(connection, name)
            assert rater is not None
        _set_link(connection, rater, _hash(token))
        if admit is not None:
            admit(connection, rater)
    return token


def revoke(database: Database, name: str) -> None:
    """Closes the link and all sessions of `name`; the answers given so far stay."""
    with database.writing() as connection:
        rater = _id(connection, name) if is_text(name) else None
        if rater is None:
            raise UserError(f"--revoke {printable(name)}: no such rater; --raters lists them")
        _set_link(connection, rater, None)


def cookie(database: Database, *, secure: bool) -> str:
    """The name of a study's own cookie: browsers keep cookies by host, so two studies on one machine would share it.

    Args:
        secure: over TLS the name begins with `__Host-`: then no other host and no plain HTTP can set it.
    """
    with database.reading() as connection:
        secret = connection.execute(select(studies.c.secret)).scalar_one()
    return f"{'__Host-' if secure else ''}emu_desk_{hmac.digest(secret, b'cookie', 'sha256').hex()[:12]}"


def join(database: Database, token: str) -> str | None:
    """A new session's token for who holds a link; None where the link is unknown or revoked."""
    session = secrets.token_urlsafe(32)
    with database.writing() as connection:
        known = connection.execute(select(raters.c.id).where(raters.c.link == _hash(token))).scalar()
        if known is None:
            return None
        connection.execute(insert(sessions).values(hash=_hash(session), rater=known))
    return session


def rater_of(database: Database, session: str) -> Rater | None:
    """Whose session it is; None where there is no such session, or no more."""
    mine = select(raters.c.id, raters.c.name).join(sessions, sessions.c.rater == raters.c.id)
    with database.reading() as connection:
        row = connection.execute(
            mine.where(sessions.c.hash == _hash(session), raters.c.revoked.is_(False))
        ).one_or_none()
    return None if row is None else Rater(row.id, row.name)


def invited(database: Database) -> list[str]:
    """The names of those whose links are open."""
    with database.reading() as connection:
        return list(connection.execute(select(raters.c.name).where(raters.c.revoked.is_(False))).scalars())


def roll(connection: Connection, said: Callable[[int], str]) -> list[str]:
    """A line for every rater: the name, what is `said` of that rater by id, and whether the link is closed."""
    known = connection.execute(select(raters).order_by(raters.c.id))
    return [f"{printable(row.name)}: {said(row.id)}{' (link closed)' if row.revoked else ''}" for row in known]


def _id(connection: Connection, name: str) -> int | None:
    return connection.execute(select(raters.c.id).where(raters.c.name == name)).scalar()


def _set_link(connection: Connection, rater: int, link: str | None) -> None:
    """A new link, by its hash, or none; every session that an old one opened is closed."""
    connection.execute(update(raters).where(raters.c.id == rater).values(link=link, revoked=link is None))
    connection.execute(delete(sessions).where(sessions.c.rater == rater))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
