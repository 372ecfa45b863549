"""A page of the desk as an app: its own routes, its files, the door, and what it answers when something fails."""

import hashlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from functools import cache, partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, exc
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route, Router

from emu.desk import raters
from emu.desk.database import Database, Lost
from emu.desk.dealing import Presence
from emu.desk.deck import Card, Deck
from emu.desk.guard import Guard, Members
from emu.errors import UserError, first_line, printable
from emu.offline import environment
from emu.storage.records import to_json

HERE = Path(__file__).parent
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
SESSION_DAYS = 30
ANSWER = "/answer"  # the route by which every page stores what raters say
TEMPLATES = environment(HERE)

Handler = Callable[[Request], Response]

log = logging.getLogger(__name__)


class DeskPage(ABC):
    """What the pages have in common. A page's folder holds a html, a css, a js and a svg of the folder's name."""

    folder: Path
    title: str
    longest: int  # characters of what raters write, which the page counts

    def __init__(self, database: Database, deck: Deck) -> None:
        self.database, self.deck = database, deck
        self.presence = Presence()
        self._hindrance = ""  # why answers cannot be stored, as it was said last

    @property
    def name(self) -> str:
        return self.folder.name

    def invite(self, rater: str) -> str:
        """The token of a new link for someone who may do everything."""
        return raters.invite(self.database, rater)

    @property
    @abstractmethod
    def routes(self) -> list[Route]:
        """The page's own."""

    def card(self, request: Request) -> Card:
        """The card that a path names; HTTP 404 for another rater's."""
        with self.database.reading() as connection:
            card = self.deck.find(connection, request.state.rater.id, request.path_params["card"])
        if card is None:
            raise HTTPException(404)
        return card

    async def reply(self, request: Request, change: Callable[[Connection, int], Any]) -> Response:
        """What `change` returns for a rater, as JSON. It is one transaction, and committed before the reply leaves."""

        def changed() -> Response:
            self.presence.note(request.state.rater.id)
            with self.database.writing() as connection:
                found = change(connection, request.state.rater.id)
            if request.scope["path"] == ANSWER:  # others may have had nothing to write
                self._report("")
            return as_json(found)

        return await run_in_threadpool(changed)

    def not_stored(self, request: Request, error: Exception) -> Response:
        """The database is away or full: the page keeps the answer and tries again, and the terminal says why."""
        self._report(printable(first_line(getattr(error, "orig", error))))
        return PlainTextResponse("Not stored.\n", status_code=503)

    def _report(self, hindrance: str) -> None:
        """Say once why answers cannot be stored, and once that they are again."""
        if hindrance == self._hindrance:
            return
        self._hindrance = hindrance
        where = self.database.name
        if hindrance:
            log.warning("%s: answers are not stored, and the pages try on: %s", where, hindrance)
        else:
            log.warning("%s: answers are stored again", where)


def app(page: DeskPage, *, hosts: Collection[str] = (), secure: bool = False) -> Starlette:
    """A page, closed to everyone without a session but for its door.

    Args:
        hosts: the host names it answers to; empty for any.
        secure: whether raters come over TLS, so that the cookie travels over nothing else.
    """
    cookie = raters.cookie(page.database, secure=secure)
    door = TEMPLATES.get_template("join.html").render(title=page.title, page=page.name)
    join = entrance(page.database, door, cookie, secure=secure)
    members = Members(inside(page), rater_of=partial(raters.rater_of, page.database), cookie=cookie)
    made = Starlette(
        routes=[Route("/join/{link}", join), Mount("/", members)],
        middleware=[Middleware(Guard, hosts=hosts, version=version())],
        exception_handlers={
            exc.OperationalError: page.not_stored,
            Lost: page.not_stored,
            UserError: _not_there,
            ClientDisconnect: _gone,
        },
    )
    made.router.redirect_slashes = False  # the address of a redirection would be made from the Host header
    return made


def inside(page: DeskPage) -> Router:
    """A page without the door: its html, its files and its routes."""
    html = TEMPLATES.get_template(f"{page.name}/{page.name}.html")

    def show(request: Request) -> Response:
        return HTMLResponse(html.render(rater=request.state.rater.name, longest=page.longest, version=version()))

    files = [HERE / "desk.css", HERE / "desk.js", *(page.folder / f"{page.name}{ending}" for ending in TYPES)]
    routes = [Route("/", show), *(Route(f"/{path.name}", file(path)) for path in files), *page.routes]
    return Router(routes, redirect_slashes=False)


@cache
def version() -> str:
    """Of the pages and of all that reads what they send: another one where a byte of it is."""
    code = (path for path in sorted(HERE.rglob("*")) if path.suffix in (".py", ".html", ".js"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in code)).hexdigest()[:12]


def as_json(value: Any) -> Response:
    """A dataclass, in ASCII: a caption may hold half a character."""
    return Response(to_json(value), media_type="application/json")


def file(path: Path) -> Handler:
    """A file of the package, read once."""
    content = path.read_text(encoding="utf-8")

    def send(request: Request) -> Response:
        return Response(content, media_type=TYPES[path.suffix])

    return send


def entrance(database: Database, html: str, cookie: str, *, secure: bool) -> Handler:
    """Opens a session for whoever holds a link.

    The page `html` leads on to `/`: a strict cookie does not follow a link from afar.
    """

    def join(request: Request) -> Response:
        session = raters.join(database, request.path_params["link"])
        if session is None:
            return PlainTextResponse("This link is not valid any more. Ask whoever runs the study for yours.\n", 404)
        response = HTMLResponse(html)
        response.set_cookie(
            cookie, session, max_age=SESSION_DAYS * 86400, httponly=True, samesite="strict", secure=secure
        )
        return response

    return join


def _gone(request: Request, error: Exception) -> Response:
    """Whoever sent a message has closed the connection inside of it: nothing was done, and nobody reads this."""
    return PlainTextResponse("Half a message.\n", status_code=400)


def _not_there(request: Request, error: Exception) -> Response:
    return PlainTextResponse("Not there.\n", status_code=404)
