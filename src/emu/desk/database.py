"""Where answers are kept: in a file of SQLite's by default, or in PostgreSQL by URL, through SQLAlchemy Core.

SQLite runs in WAL mode with synchronous=FULL: what was committed outlives kill -9 and a power cut. All writers take
turns (`writing`), so what one read before it writes is still so when it writes.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from emu.errors import FULL, UserError, of_the_system, reason, system_error

metadata = sa.MetaData()
TURN = 0x656D75  # PostgreSQL's number of the lock that writers take turns by; a row would have to be there first
SERIAL = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # SQLite counts up in INTEGER alone

# The one row of a study: which pictures it shows, how, and the secret that all shuffling hangs on.
studies = sa.Table(
    "studies", metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("options", sa.JSON, nullable=False),
    sa.Column("secret", sa.LargeBinary, nullable=False),
)  # fmt: skip
# Links and sessions are kept as SHA-256: who reads the file cannot come in with what it says.
raters = sa.Table(
    "raters", metadata,
    sa.Column("id", SERIAL, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("link", sa.String(64), unique=True),
    sa.Column("revoked", sa.Boolean, nullable=False, default=False),
)  # fmt: skip
sessions = sa.Table(
    "sessions", metadata,
    sa.Column("hash", sa.String(64), primary_key=True),
    sa.Column("rater", sa.ForeignKey("raters.id"), nullable=False),
)  # fmt: skip

# The one row of where the page was opened last: links made beside it lead there.
doors = sa.Table(
    "doors", metadata,
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("port", sa.Integer, nullable=False),
    sa.Column("proxy", sa.Text, nullable=False),
)  # fmt: skip


class Lost(UserError):
    """The file of the database is not where it was: what is written to it would be found by nobody."""


class Database:
    """A study's tables behind two doors: `reading()` and `writing()`, each one transaction.

    A file of SQLite's may be read by its owner alone, whatever it is named by: it holds the raters' names and the
    study's secret. Where it is moved or removed meanwhile, both doors raise `Lost` until it is back: SQLite itself
    would go on writing to a file that has no name any more, and make an empty one in its place.

    Args:
        url: as SQLAlchemy reads it: `sqlite:////absolute/file` or `postgresql+psycopg://user@host/name`.

    Raises:
        UserError: no such database, no driver for it, one that does not answer, or a file that cannot be kept private.
    """

    def __init__(self, url: str | sa.URL) -> None:
        self._file: tuple[Path, os.stat_result] | None = None
        try:
            self.engine = sa.create_engine(url, pool_pre_ping=True, hide_parameters=True)  # errors name no rater
            if self.engine.dialect.name == "sqlite":
                sa.event.listen(self.engine, "connect", _prepare_sqlite)
                sa.event.listen(self.engine, "begin", _begin_sqlite)
            with self.writing() as connection:
                metadata.create_all(connection)
                if self.engine.dialect.name == "sqlite":
                    _require_whole(connection)
                    self._file = _file_of(connection)
        except OSError as error:
            raise UserError(
                f"--db: {reason(error)}; keep answers in a file of your own, which nobody else may read"
            ) from error
        except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ModuleNotFoundError, sa.exc.DBAPIError) as error:
            why = getattr(error, "orig", error)
            if (system := system_error(why)) and system.errno in FULL:
                raise UserError(of_the_system(system, self.engine.url.database)) from error
            raise UserError(f"--db: {why}; give sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME") from error

    @classmethod
    def in_file(cls, path: Path) -> "Database":
        """The SQLite database of a file, which is made where there is none."""
        try:
            path.touch(mode=0o600)
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}; say with --db where votes may be kept") from error
        return cls(sa.URL.create("sqlite", database=str(path)))

    @staticmethod
    def is_there(url: str) -> bool:
        """Whether a URL may lead to a database: False where it names a file that is not there, and would be made."""
        try:
            named = sa.make_url(url)
        except sa.exc.ArgumentError:  # which opening it tells
            return True
        own_file = named.get_backend_name() == "sqlite" and named.database and not named.database.startswith("file:")
        return not own_file or Path(named.database or "").exists()

    @property
    def name(self) -> str:
        """For messages; a password is not in it."""
        return self.engine.url.render_as_string()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """One transaction that only reads: it sees one state, and keeps no writer waiting."""
        self._require_there()
        with self.engine.connect().execution_options(emu_reads=True) as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """One transaction, alone among writers; on disk when the block has ended."""
        self._require_there()
        with self.engine.begin() as connection:
            if self.engine.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(TURN)))
            yield connection
            self._require_there()

    def close(self) -> None:
        self.engine.dispose()

    def _require_there(self) -> None:
        """Lost where the file is away, or another one has its name."""
        if self._file is None:
            return
        path, opened = self._file
        try:
            there = os.path.samestat(opened, path.stat())
        except OSError:
            there = False
        if not there:
            raise Lost(f"{path}: moved, removed or replaced since it was opened; put it back, or start again")


def _file_of(connection: sa.Connection) -> tuple[Path, os.stat_result] | None:
    """Where the file of SQLite's lies, by whatever URL, and which it is; None of one in memory."""
    (_, _, name), *_ = connection.exec_driver_sql("PRAGMA database_list").all()  # the main one; then SQLite's own
    return (Path(name), os.stat(name)) if name else None


def _require_whole(connection: sa.Connection) -> None:
    """UserError where pages of the file are damaged: answers to it would be wrong, or lost later on."""
    found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    if found != "ok":
        raise UserError(
            f"{connection.engine.url.database}: damaged ({found}); put a copy in its place, or take out what can be "
            "read with `sqlite3 FILE .recover`"
        )


def _prepare_sqlite(connection: sqlite3.Connection, _: Any) -> None:
    connection.isolation_level = None  # we begin transactions ourselves, below
    for _, _, name in connection.execute("PRAGMA database_list").fetchall():
        for file in (Path(f"{name}{ending}") for ending in ("", "-wal", "-shm") if name):
            if file.exists() and file.stat().st_mode & 0o077:
                file.chmod(0o600)  # before anything is written; what SQLite puts beside it later takes over its mode
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=20000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: sa.Connection) -> None:
    reads = connection.get_execution_options().get("emu_reads", False)
    # IMMEDIATE takes the write lock at once; a plain transaction that wants to write later may be refused.
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
