"""The review page as a Starlette app: its routes, all but the door behind the guard.

A picture's address is that of a look, 128 random bits, and answers to its own rater alone. Nobody learns here what
others said, but an arbiter of what they are asked to settle.
"""

import json
import math
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
from sqlalchemy import Connection, select
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from emu.desk import raters
from emu.desk.bodies import fields
from emu.desk.guard import Guard
from emu.desk.pages import HANDLERS, entrance, file
from emu.desk.presence import Presence
from emu.desk.review.answers import LONGEST_CAPTION, LONGEST_REASON, Answer, store
from emu.desk.review.dealing import Filter, Look, deal, last
from emu.desk.review.invitations import Desk, desks
from emu.desk.review.pictures import Shown
from emu.desk.review.study import Review
from emu.desk.review.tables import looks
from emu.desk.review.telling import told_desk, told_look
from emu.desk.review.thumbnails import thumbnail, whole
from emu.desk.review.tokens import Tokens

HERE = Path(__file__).parent
LONGEST_LOOK = 3600 * 1000  # milliseconds; a picture that was open for longer counts as an hour
BACK = 96  # looks that a rater can go back to
MOST_ANSWERS = 96
TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
)
JOIN = (HERE / "join.html").read_text(encoding="utf-8")


def review_app(review: Review, *, hosts: Collection[str] = (), secure: bool = False) -> Starlette:
    """The app of one review.

    Args:
        hosts: the host names it answers to; empty for any.
        secure: whether raters come over TLS, so that the cookie travels over nothing else.
    """
    page = Page(review)
    known = partial(raters.rater_of, review.database)
    return Starlette(
        routes=[
            Route("/", page.show),
            Route("/join/{link}", entrance(review.database, JOIN, secure=secure)),
            Route("/review.css", file(HERE / "review.css", "text/css")),
            Route("/review.js", file(HERE / "review.js", "text/javascript")),
            Route("/review.svg", file(HERE / "review.svg", "image/svg+xml")),
            Route("/small/{look}", page.small),
            Route("/picture/{look}", page.picture),
            Route("/desk", page.desk, methods=["POST"]),
            Route("/hand", page.hand, methods=["POST"]),
            Route("/answer", page.answer, methods=["POST"]),
            Route("/tokens", page.tokens, methods=["POST"]),
        ],
        middleware=[Middleware(Guard, rater_of=known, hosts=hosts)],
        exception_handlers=HANDLERS,
    )


class Page:
    """The routes of the review page."""

    def __init__(self, review: Review) -> None:
        self.review = review
        self.presence = Presence()
        self.counters = {one.name: Tokens(one.tokenizers) for one in review.plan.passes}

    def show(self, request: Request) -> Response:
        html = TEMPLATES.get_template("review.html").render(rater=request.state.rater.name)
        return HTMLResponse(html)

    def small(self, request: Request) -> Response:
        return Response(thumbnail(self.review.folder, self.of(request)), media_type="image/webp")

    def picture(self, request: Request) -> Response:
        content, kind = whole(self.review.folder, self.of(request))
        return Response(content, media_type=kind)

    def of(self, request: Request) -> Shown:
        """The picture of a look; HTTP 404 for one of another rater."""
        look = request.path_params["look"]
        with self.review.database.reading() as connection:
            mine = (looks.c.id == look) & (looks.c.rater == request.state.rater.id)
            key = connection.execute(select(looks.c.picture).where(mine)).scalar() if look.isascii() else None
        if key is None:
            raise HTTPException(404)
        return self.review.pictures[key]

    async def desk(self, request: Request) -> Response:
        """What there is to do: the rater's passes, the guideline, what pictures may be filtered by."""
        await fields(request)

        def tell() -> Response:
            with self.review.database.reading() as connection:
                mine = desks(self.review, connection, request.state.rater.id)
                return _json(told_desk(self.review, connection, mine))

        return await run_in_threadpool(tell)

    async def hand(self, request: Request) -> Response:
        """The pictures to look at now, and those looked at last."""
        given = await fields(request, of=str, ruling=bool, concept=str, score=str, low=float, high=float)
        if not (math.isfinite(given["low"]) and math.isfinite(given["high"])):
            raise HTTPException(400, "No number.")
        chosen = Filter(*(given[name] for name in ("concept", "score", "low", "high")))
        return await run_in_threadpool(self.dealt, request, given["of"], given["ruling"], chosen)

    def dealt(self, request: Request, name: str, ruling: bool, chosen: Filter) -> Response:
        rater = request.state.rater.id
        self.presence.note(rater)
        with self.review.database.writing() as connection:
            one = self.invited(connection, rater, name, ruling=ruling).of
            hand = deal(self.review, connection, rater, one, self.presence, chosen=chosen, ruling=ruling)
            before = last(connection, rater, one, ruling=ruling, count=BACK)
            tell = partial(self.told, connection, ruling)
            told = {"open": list(map(tell, hand.open)), "before": list(map(tell, before))}
        return _json({**told, "answered": hand.answered, "left": hand.left})

    def told(self, connection: Connection, ruling: bool, look: Look) -> dict[str, Any]:
        return told_look(self.review, connection, look, ruling=ruling)

    async def answer(self, request: Request) -> Response:
        """Stores answers, all or none, before it says so."""
        given = await fields(request, of=str, answers=list)
        if len(given["answers"]) > MOST_ANSWERS:
            raise HTTPException(400, "Too many.")
        return await run_in_threadpool(self.stored, request, given["of"], [_answer(one) for one in given["answers"]])

    def stored(self, request: Request, name: str, answers: list[Answer]) -> Response:
        rater = request.state.rater.id
        self.presence.note(rater)
        with self.review.database.writing() as connection:
            one = self.invited(connection, rater, name, ruling=False).of
            statuses = [store(connection, rater, one, given) for given in answers]
        return _json({"statuses": statuses})

    def invited(self, connection: Connection, rater: int, name: str, *, ruling: bool) -> Desk:
        """The rater's pass of that name; HTTP 403 where they are not invited to it."""
        for one in desks(self.review, connection, rater):
            if one.of.name == name and (one.arbiter or not ruling):
                return one
        raise HTTPException(403, "Not invited to this pass.")

    async def tokens(self, request: Request) -> Response:
        """How long a caption is for the models that are to be tuned."""
        given = await fields(request, of=str, text=str)
        counter = self.counters.get(given["of"])
        if counter is None or len(given["text"]) > LONGEST_CAPTION:
            raise HTTPException(400, "Too long, or no such pass.")
        return _json({"counts": await run_in_threadpool(counter.count, given["text"])})


def _answer(given: Any) -> Answer:
    """One answer of a message; HTTP 400 for anything amiss."""
    kinds = {"look": str, "turn": int, "choice": str, "reason": str, "text": str, "milliseconds": int}
    if not isinstance(given, dict) or given.keys() != kinds.keys():
        raise HTTPException(400, f"Send {', '.join(kinds)}.")
    if any(type(given[name]) is not kind for name, kind in kinds.items()):
        raise HTTPException(400, "Not of the right type.")
    if len(given["reason"]) > LONGEST_REASON or len(given["text"]) > LONGEST_CAPTION or not 0 <= given["turn"] < 2**31:
        raise HTTPException(400, "Too long.")
    # Half characters and zeros come in JSON but go into no database.
    clean = {name: given[name].encode(errors="replace").decode().replace("\0", "") for name in ("reason", "text")}
    return Answer(**{**given, **clean, "milliseconds": min(max(given["milliseconds"], 0), LONGEST_LOOK)})


def _json(told: Any) -> Response:
    return Response(json.dumps(told), media_type="application/json")  # ASCII: a caption may hold half a character
