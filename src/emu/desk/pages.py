"""What the pages of the desk have in common: their files, the door, and the answer where something is not there."""

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import exc
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from emu.desk import raters
from emu.desk.database import Database
from emu.desk.guard import COOKIE
from emu.errors import UserError

SESSION_DAYS = 30

Handler = Callable[[Request], Response]


def file(path: Path, media_type: str) -> Handler:
    """A file of the package, read once."""
    content = path.read_text(encoding="utf-8")

    def send(request: Request) -> Response:
        return Response(content, media_type=media_type)

    return send


def entrance(database: Database, html: str, *, secure: bool) -> Handler:
    """Opens a session for who holds a link.

    The page `html` leads on to `/`: a strict cookie does not follow a link from afar.
    """

    def join(request: Request) -> Response:
        session = raters.join(database, request.path_params["link"])
        if session is None:
            return PlainTextResponse("This link is not open. Ask whoever runs the study for yours.\n", status_code=404)
        response = HTMLResponse(html)
        response.set_cookie(
            COOKIE, session, max_age=SESSION_DAYS * 86400, httponly=True, samesite="strict", secure=secure
        )
        return response

    return join


def _not_stored(request: Request, error: Exception) -> Response:
    """The database is away or full: the page keeps the answer and tries again."""
    return PlainTextResponse("Not stored.\n", status_code=503)


def _not_there(request: Request, error: Exception) -> Response:
    return PlainTextResponse("Not there.\n", status_code=404)


HANDLERS = {exc.OperationalError: _not_stored, UserError: _not_there}
