"""The review page as a Starlette app.

A picture's address is that of a look, 128 random bits, and answers to its own rater alone. Nobody learns here what
others said, but an arbiter of what they are asked to settle.
"""

import math
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from emu.desk import pages
from emu.desk.bodies import fields, require_short
from emu.desk.presence import Presence
from emu.desk.review.answers import LONGEST_CAPTION, LONGEST_REASON, Answer, store
from emu.desk.review.dealing import Filter, Look, deal, last
from emu.desk.review.invitations import Desk, desks
from emu.desk.review.pictures import Shown
from emu.desk.review.standing import standing
from emu.desk.review.study import Review
from emu.desk.review.tables import looks
from emu.desk.review.telling import told_desk, told_look
from emu.desk.review.thumbnails import thumbnail, whole
from emu.desk.review.tokens import Tokens
from emu.desk.review.waiting import words

LONGEST_LOOK = 3600 * 1000  # milliseconds; a picture that was open for longer counts as an hour
BACK = 96  # looks that a rater can go back to
MOST_ANSWERS = 96


def review_app(review: Review, *, hosts: Collection[str] = (), secure: bool = False) -> Starlette:
    """The app of one review; `hosts` and `secure` as `emu.desk.pages.app` takes them."""
    page = Page(review)
    routes = [
        Route("/small/{look}", page.small),
        Route("/picture/{look}", page.picture),
        Route("/desk", page.desk, methods=["POST"]),
        Route("/hand", page.hand, methods=["POST"]),
        Route("/answer", page.answer, methods=["POST"]),
        Route("/tokens", page.tokens, methods=["POST"]),
    ]
    limits = {"longest": LONGEST_CAPTION}
    folder, data = Path(__file__).parent, review.database
    return pages.app(folder, "Needles", routes, database=data, hosts=hosts, secure=secure, limits=limits)


class Page:
    """The routes of the review page."""

    def __init__(self, review: Review) -> None:
        self.review = review
        self.presence = Presence()
        self.counters = {one.name: Tokens(one.tokenizers) for one in review.plan.passes}

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
                return pages.answer(told_desk(self.review, connection, mine))

        return await run_in_threadpool(tell)

    async def hand(self, request: Request) -> Response:
        """The pictures to look at now, and those looked at last."""
        given = await fields(request, of=str, ruling=bool, concept=str, score=str, low=float, high=float, rater=int)
        if not (math.isfinite(given["low"]) and math.isfinite(given["high"])):
            raise HTTPException(400, "low and high are numbers")
        chosen = Filter(*(given[name] for name in ("concept", "score", "low", "high", "rater")))
        return await run_in_threadpool(self.dealt, request, given["of"], given["ruling"], chosen)

    def dealt(self, request: Request, name: str, ruling: bool, chosen: Filter) -> Response:
        rater = request.state.rater.id
        self.presence.note(rater)
        with self.review.database.writing() as connection:
            one = self.invited(connection, rater, name, ruling=ruling).of
            hand = deal(self.review, connection, rater, one, self.presence, chosen=chosen, ruling=ruling)
            waits = "" if hand.open else words(standing(self.review, connection).waiting(one), one.page)
            before = last(connection, rater, one, ruling=ruling, count=BACK)
            tell = partial(self.told, connection, ruling)
            told = {"open": list(map(tell, hand.open)), "before": list(map(tell, before))}
        return pages.answer({**told, "answered": hand.answered, "left": hand.left, "waits": waits})

    def told(self, connection: Connection, ruling: bool, look: Look) -> dict[str, Any]:
        return told_look(self.review, connection, look, ruling=ruling)

    async def answer(self, request: Request) -> Response:
        """Stores answers, all or none, before it says so."""
        given = await fields(request, of=str, answers=list)
        if len(given["answers"]) > MOST_ANSWERS:
            raise HTTPException(400, f"at most {MOST_ANSWERS} answers at once")
        return await run_in_threadpool(self.stored, request, given["of"], [_answer(one) for one in given["answers"]])

    def stored(self, request: Request, name: str, answers: list[Answer]) -> Response:
        rater = request.state.rater.id
        self.presence.note(rater)
        with self.review.database.writing() as connection:
            one = self.invited(connection, rater, name, ruling=False).of
            statuses = [store(connection, rater, one, given) for given in answers]
        return pages.answer({"statuses": statuses})

    def invited(self, connection: Connection, rater: int, name: str, *, ruling: bool) -> Desk:
        """The rater's pass of that name; HTTP 403 where they are not invited to it."""
        for one in desks(self.review, connection, rater):
            if one.of.name == name and (one.arbiter or not ruling):
                return one
        raise HTTPException(403, "you are not invited to this pass")

    async def tokens(self, request: Request) -> Response:
        """How long a caption is for the models that are to be tuned."""
        given = await fields(request, of=str, text=str)
        counter = self.counters.get(given["of"])
        if counter is None:
            raise HTTPException(400, "there is no such pass")
        require_short(given["text"], LONGEST_CAPTION, "the caption")
        return pages.answer({"counts": await run_in_threadpool(counter.count, given["text"])})


def _answer(given: Any) -> Answer:
    """One answer of a message; HTTP 400 for anything amiss."""
    kinds = {"look": str, "turn": int, "choice": str, "reason": str, "text": str, "milliseconds": int}
    if not isinstance(given, dict) or given.keys() != kinds.keys():
        raise HTTPException(400, f"send {', '.join(kinds)}")
    if any(type(given[name]) is not kind for name, kind in kinds.items()):
        raise HTTPException(400, "an answer is not of the right type")
    if not 0 <= given["turn"] < 2**31:
        raise HTTPException(400, "there is no such turn")
    require_short(given["reason"], LONGEST_REASON, "the reason")
    require_short(given["text"], LONGEST_CAPTION, "the caption")
    clean = {name: pages.storable(given[name]) for name in ("reason", "text")}
    return Answer(**{**given, **clean, "milliseconds": min(max(given["milliseconds"], 0), LONGEST_LOOK)})
