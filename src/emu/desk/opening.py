"""Opens a page from what the command line says: where answers are kept, and how raters come in."""

import atexit
import html
import tempfile
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from emu.desk.database import Database
from emu.desk.pages import DeskPage
from emu.desk.serving import Address
from emu.errors import UserError

OWNER = "me"
SECONDS = 60.0  # within which a browser has read the file
LEADING = '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={}"><title>emu</title>\n'


@contextmanager
def kept(file: Path, url: str | None) -> Iterator[Database]:
    """The database of a study: of `url`, else in `file`."""
    database = Database(url) if url else Database.in_file(file)
    try:
        yield database
    finally:
        database.close()


def require_begun(file: Path, url: str | None, *, command: str, kept: str) -> None:
    """UserError where what is kept in a file was never begun; `command` does so."""
    if url is None and not file.exists():
        raise UserError(f"{file.parent}: no {kept} yet; open the page first with {command}")


def door(page: DeskPage, where: Address, *, browser: bool, beside: Path) -> str:
    """How raters come in. On this machine alone there is one, the owner, who gets a new link at every start.

    Args:
        browser: open the owner's link at once.
        beside: a folder of the owner's, for the file that leads the browser on.
    """
    if where.loopback:
        link = where.local(page.invite(OWNER))
        if browser:
            open_in_browser(link, beside)
        return f"{page.name} at {link}"
    warning = "; answers and links travel unencrypted: put a TLS proxy in front and name it with --url"
    return f"raters come to {where.url} by their links{'' if where.secure else warning}"


def open_in_browser(link: str, beside: Path) -> None:
    """Open a link without showing it to others: every user can read a command line.

    So the browser is given a file that only its owner may read. It lies in `beside`, where a browser in a sandbox may
    read too, and goes after a minute, or with us.
    """
    try:
        with tempfile.NamedTemporaryFile("w", dir=beside, prefix=".open-", suffix=".html", delete=False) as page:
            page.write(LEADING.format(html.escape(link)))
    except OSError:  # a folder that one may only read: the printed link has to do
        return
    written = Path(page.name)
    atexit.register(written.unlink, missing_ok=True)
    gone = threading.Timer(SECONDS, written.unlink, kwargs={"missing_ok": True})
    gone.daemon = True
    gone.start()
    webbrowser.open(written.resolve().as_uri())
