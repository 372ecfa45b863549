"""What the pages of the desk have in common: their app, their files, the door, and what is said of a failure."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
from sqlalchemy import exc
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route, Router

from emu.desk import raters
from emu.desk.database import Database
from emu.desk.guard import Guard, Members
from emu.errors import UserError

HERE = Path(__file__).parent
SESSION_DAYS = 30

Handler = Callable[[Request], Response]


def app(
    page: Path,
    title: str,
    routes: Sequence[Route],
    *,
    database: Database,
    limits: Mapping[str, int],
    hosts: Collection[str] = (),
    secure: bool = False,
) -> Starlette:
    """A page's own routes, its door and its files; all but the door ask for a session.

    Args:
        page: its folder, which has a html, a css, a js and a svg of the folder's name.
        limits: what the html may say of them, by name.
        hosts: the host names it answers to; empty for any.
        secure: whether raters come over TLS, so that the cookie travels over nothing else.
    """
    name = page.name

    def show(request: Request) -> Response:
        return HTMLResponse(html.render(rater=request.state.rater.name, **limits))

    html = template(page / f"{name}.html")
    door = template(HERE / "join.html").render(title=title, page=name)
    cookie = raters.cookie(database, secure=secure)
    closed = Router(
        [
            Route("/", show),
            Route("/desk.css", file(HERE / "desk.css", "text/css")),
            Route("/desk.js", file(HERE / "desk.js", "text/javascript")),
            Route(f"/{name}.css", file(page / f"{name}.css", "text/css")),
            Route(f"/{name}.js", file(page / f"{name}.js", "text/javascript")),
            Route(f"/{name}.svg", file(page / f"{name}.svg", "image/svg+xml")),
            *routes,
        ],
        redirect_slashes=False,
    )
    members = Members(closed, rater_of=partial(raters.rater_of, database), cookie=cookie)
    made = Starlette(
        routes=[Route("/join/{link}", entrance(database, door, cookie, secure=secure)), Mount("/", members)],
        middleware=[Middleware(Guard, hosts=hosts)],
        exception_handlers=HANDLERS,
    )
    made.router.redirect_slashes = False  # the address of a redirection would be made from the Host header
    return made


def template(path: Path) -> jinja2.Template:
    """A page of the package."""
    loader = jinja2.FileSystemLoader(path.parent)
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.get_template(path.name)


def answer(told: Any) -> Response:
    """In ASCII, since a caption may hold half a character."""
    return Response(json.dumps(told), media_type="application/json")


def storable(text: str) -> str:
    """Half characters and zeros come in JSON but go into no database."""
    return text.encode(errors="replace").decode().replace("\0", "")


def file(path: Path, media_type: str) -> Handler:
    """A file of the package, read once."""
    content = path.read_text(encoding="utf-8")

    def send(request: Request) -> Response:
        return Response(content, media_type=media_type)

    return send


def entrance(database: Database, html: str, cookie: str, *, secure: bool) -> Handler:
    """Opens a session for who holds a link.

    The page `html` leads on to `/`: a strict cookie does not follow a link from afar.
    """

    def join(request: Request) -> Response:
        session = raters.join(database, request.path_params["link"])
        if session is None:
            return PlainTextResponse("This link is not open. Ask whoever runs the study for yours.\n", status_code=404)
        response = HTMLResponse(html)
        response.set_cookie(
            cookie, session, max_age=SESSION_DAYS * 86400, httponly=True, samesite="strict", secure=secure
        )
        return response

    return join


def _not_stored(request: Request, error: Exception) -> Response:
    """The database is away or full: the page keeps the answer and tries again."""
    return PlainTextResponse("Not stored.\n", status_code=503)


def _not_there(request: Request, error: Exception) -> Response:
    return PlainTextResponse("Not there.\n", status_code=404)


HANDLERS = {exc.OperationalError: _not_stored, UserError: _not_there}
