"""Opens a study from what the command line says: run folders, a database, where raters come in."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from emu.compare.pairs import read_run
from emu.desk.database import Database
from emu.desk.doorway import open_in_browser
from emu.desk.raters import invite
from emu.desk.serving import Address
from emu.desk.vote.app import vote_app
from emu.desk.vote.study import Study, file_in, open_study
from emu.errors import UserError

__all__ = ["door", "opened", "vote_app"]

OWNER = "me"


@contextmanager
def opened(folders: Sequence[Path], *, url: str | None, begun: bool, **options: Any) -> Iterator[Study]:
    """The study of these runs; the run folders are read before a database is touched.

    Args:
        url: the database's; None for a file in the first run folder.
        begun: only if there is one already; UserError otherwise.
    """
    read = [read_run(folder) for folder in folders]
    file = file_in(folders[0])
    if url is None and begun and not file.exists():
        raise UserError(f"{folders[0]}: no votes yet; open the page first with emu vote {folders[0]}")
    database = Database(url) if url else Database.in_file(file)
    try:
        yield open_study(database, read, **options)
    finally:
        database.close()


def door(study: Study, where: Address, *, browser: bool, beside: Path) -> str:
    """How raters come in. On this machine alone there is one rater, who gets a new link at every start.

    Args:
        browser: open that link at once.
        beside: a folder of the owner's, for what the browser is led on by.
    """
    if where.loopback:
        link = where.local(invite(study.database, OWNER))
        if browser:
            open_in_browser(link, beside)
        return f"vote at {link}"
    warning = "; votes and links travel unencrypted: put a TLS proxy in front and name it with --url"
    return f"raters come to {where.url} by their links{'' if where.secure else warning}"
