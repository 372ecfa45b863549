"""The review page.

A picture's address is that of a look, 128 random bits, and answers to its own rater alone. Nobody learns here what
others said, but an arbiter of what they are asked to settle.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from emu.data.sources.entry import LONGEST_CAPTION
from emu.desk.deck import Status
from emu.desk.messages import WORDS, Nothing, checked, message, require_short, shaped, storable
from emu.desk.pages import DeskPage, as_json
from emu.desk.review.dealing import LONGEST, Answer, Filter, deal, store
from emu.desk.review.pictures import Candidate
from emu.desk.review.plan import Pass
from emu.desk.review.raters import desks, invite
from emu.desk.review.standing import standing
from emu.desk.review.study import Review
from emu.desk.review.tables import DECK
from emu.desk.review.telling import ShownLook, overview, shown
from emu.desk.review.thumbnails import thumbnail, whole
from emu.desk.review.tokens import Tokens

BACK = 96  # looks that a rater can go back to
MOST_ANSWERS = 96


@dataclass(frozen=True, kw_only=True)
class Wanted(Filter):
    """The message of /hand: which looks of a pass; with `ruling` those that others differ on."""

    of: str
    ruling: bool


@dataclass(frozen=True)
class Sheet:
    """The message of /answer: a pass, and the answers that are stored together."""

    of: str
    answers: list[Any]  # each an `Answer`


@dataclass(frozen=True)
class Text:
    """The message of /tokens."""

    of: str
    text: str


@dataclass(frozen=True)
class Looks:
    """The looks to answer now, those answered last, and how far the rater and the pass are."""

    open: list[ShownLook]
    before: list[ShownLook]
    answered: int
    left: int
    waits: str


class ReviewPage(DeskPage):
    """Passes over the pictures, and captions."""

    folder, title, longest = Path(__file__).parent, "Needles", LONGEST_CAPTION

    def __init__(self, review: Review) -> None:
        super().__init__(review.database, DECK)
        self.review = review
        self.counters = {one.name: Tokens(one.tokenizers) for one in review.plan.passes}

    def invite(self, rater: str) -> str:
        return invite(self.database, rater, self.review.plan.passes, arbiter=True)

    @property
    def routes(self) -> list[Route]:
        return [
            Route("/small/{card}", self.small),
            Route("/picture/{card}", self.picture),
            Route("/desk", self.desk, methods=["POST"]),
            Route("/hand", self.hand, methods=["POST"]),
            Route("/answer", self.answer, methods=["POST"]),
            Route("/tokens", self.tokens, methods=["POST"]),
        ]

    def small(self, request: Request) -> Response:
        return Response(thumbnail(self.review.folder, self.of(request)), media_type="image/webp")

    def picture(self, request: Request) -> Response:
        content, kind = whole(self.review.folder, self.of(request))
        return Response(content, media_type=kind)

    def of(self, request: Request) -> Candidate:
        return self.review.pictures[self.card(request).picture]

    async def desk(self, request: Request) -> Response:
        """What there is to do."""
        await message(request, Nothing)
        return await self.reply(request, partial(overview, self.review))

    async def hand(self, request: Request) -> Response:
        """The pictures to look at now, and those looked at last."""
        given = await message(request, Wanted)
        return await self.reply(request, partial(self.dealt, given))

    def dealt(self, given: Wanted, connection: Connection, rater: int) -> Looks:
        one = self.invited(connection, rater, given.of, ruling=given.ruling)
        hand = deal(self.review, connection, rater, one, self.presence, chosen=given, ruling=given.ruling)
        waits = "" if hand.open else standing(self.review, connection).waits(one)
        show = partial(shown, self.review, connection)
        before = list(map(show, hand.answered[-BACK:]))
        return Looks(list(map(show, hand.open)), before, len(hand.answered), hand.left, waits)

    async def answer(self, request: Request) -> Response:
        """Stores answers, all or none, before it says so."""
        given = await message(request, Sheet)
        if len(given.answers) > MOST_ANSWERS:
            raise HTTPException(400, f"at most {MOST_ANSWERS} answers at once")
        answers = [checked(shaped(one, Answer), LONGEST) for one in given.answers]
        return await self.reply(request, partial(self.stored, given.of, answers))

    def stored(self, name: str, answers: list[Answer], connection: Connection, rater: int) -> dict[str, list[Status]]:
        one = self.invited(connection, rater, name)
        return {"statuses": [store(connection, rater, one, given) for given in answers]}

    def invited(self, connection: Connection, rater: int, name: str, *, ruling: bool = False) -> Pass:
        """The rater's pass of that name; HTTP 403 where they are not invited to it."""
        for mine in desks(self.review, connection, rater):
            if mine.of.name == name and (mine.arbiter or not ruling):
                return mine.of
        raise HTTPException(403, "you are not invited to this pass")

    async def tokens(self, request: Request) -> Response:
        """How long a caption is for the models that are to be tuned."""
        given = await message(request, Text)
        counter = self.counters.get(given.of)
        if counter is None:
            raise HTTPException(400, "there is no such pass")
        require_short(given.text, LONGEST_CAPTION, WORDS["text"])
        return as_json({"counts": await run_in_threadpool(counter.count, storable(given.text))})
