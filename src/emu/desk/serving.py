"""Runs a page of the desk with uvicorn, on this machine alone unless a host is named, and lets raters in."""

import atexit
import html
import ipaddress
import socket
import tempfile
import threading
import time
import webbrowser
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn
from sqlalchemy import delete, insert, select
from starlette.types import ASGIApp

from emu.desk.database import Database, doors
from emu.desk.pages import DeskPage
from emu.errors import UserError, reason

OWNER = "me"
SECONDS = 60.0  # within which a browser has read the file
LEADING = '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={}"><title>emu</title>\n'
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Address:
    """Where the desk listens, and how raters reach it.

    Args:
        proxy: what raters type where a proxy stands in front, without a slash at the end; else empty.
    """

    host: str
    port: int
    proxy: str = ""

    @property
    def url(self) -> str:
        """What stands in front of the links."""
        return self.proxy or self._own

    @property
    def _own(self) -> str:
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def link(self, token: str) -> str:
        """The invitation link of a token."""
        return f"{self.url}/join/{token}"

    def local(self, token: str) -> str:
        """The link for a browser on this machine, past the proxy."""
        return f"{self._own}/join/{token}"

    @property
    def loopback(self) -> bool:
        """Whether nobody but this machine reaches it."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def secure(self) -> bool:
        """Whether raters come over TLS, so that the cookie may demand it."""
        return self.proxy.startswith("https://")

    @property
    def names(self) -> tuple[str, ...]:
        """The host names that requests may carry; none means any, where it listens on all interfaces."""
        if not self.proxy and self.host in ("0.0.0.0", "::"):
            return ()
        own = (self.host, urlsplit(self.proxy).hostname or self.host)
        return (*LOOPBACK_NAMES, *(as_asked_for(name) for name in own))


def address(host: str, port: int, proxy: str | None) -> Address:
    """UserError for a `proxy` that is no address."""
    try:
        parts = urlsplit(proxy or "http://localhost")
        whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        good = whole and not (parts.path.strip("/") or parts.query or parts.fragment or parts.username)
    except ValueError:  # no address at all, or no port
        good = False
    if not good:
        raise UserError(f"--url {proxy}: give the address in front of the links, such as https://vote.example.org")
    return Address(host, port, (proxy or "").rstrip("/"))


def as_asked_for(name: str) -> str:
    """A host's name as browsers ask for it: in small letters, and others than ASCII's by IDNA."""
    try:
        return name.encode("idna").decode().lower()
    except UnicodeError:  # no name that anybody can ask for
        return name.lower()


def listen(where: Address, *, invited: Sequence[str]) -> tuple[socket.socket, Address]:
    """A listening socket and its address, whose port is a free one where 0 was asked for.

    Raises:
        UserError: nobody is invited though other machines may come, or the address is taken or not this machine's.
    """
    if not where.loopback and not invited:
        raise UserError(f"--host {where.host}: needs raters with links; make them first with --invite NAME")
    try:
        family = socket.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((where.host, where.port), family=family)
    except (OSError, OverflowError, UnicodeError) as error:  # UnicodeError: a name that is none
        raise UserError(f"--host {where.host} --port {where.port}: {reason(error)}; choose another") from error
    return listening, Address(where.host, listening.getsockname()[1], where.proxy)


def remember(where: Address, database: Database) -> None:
    """Keep where the page is, for links that are made while it runs or afterwards."""
    with database.writing() as connection:
        connection.execute(delete(doors))
        connection.execute(insert(doors).values(host=where.host, port=where.port, proxy=where.proxy))


def remembered(database: Database) -> Address | None:
    """Where the page was opened last; None before it was."""
    with database.reading() as connection:
        row = connection.execute(select(doors.c.host, doors.c.port, doors.c.proxy)).first()
    return None if row is None else Address(*row)


def server(app: ASGIApp) -> uvicorn.Server:
    """A server that does not say what it is. There is no access log: addresses hold links."""
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, lifespan="off", ws="none",
        timeout_graceful_shutdown=3, proxy_headers=False,
    )  # fmt: skip
    return uvicorn.Server(config)


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
    read too, and goes after a minute, or with us; after a kill with the next one.
    """
    with suppress(OSError):
        for left in beside.glob(".open-*.html"):
            if left.stat().st_mtime < time.time() - SECONDS:
                left.unlink(missing_ok=True)
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
