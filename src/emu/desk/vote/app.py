"""The vote page as a Starlette app.

A card's address is 128 random bits and answers to its own rater alone. What a rater receives of a card is two
addresses that end in a and b, and in the second question the caption; kinds, seeds, paths and models stay here.
"""

from collections.abc import Collection
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
from emu.desk.database import cards
from emu.desk.vote.assignment import Card, Hand, Presence, deal
from emu.desk.vote.ballots import LONGEST_REASON, answer, begin, next_question, question_of, training_feedback
from emu.desk.vote.drawing import CardPictures
from emu.desk.vote.questions import FAITHFULNESS, TRAINING
from emu.desk.vote.study import Study

LONGEST_LOOK = 24 * 3600 * 1000  # milliseconds; a card that was open for longer counts as a day


def vote_app(study: Study, *, hosts: Collection[str] = (), secure: bool = False) -> Starlette:
    """The app of one study; `hosts` and `secure` as `emu.desk.pages.app` takes them."""
    page = Page(study)
    routes = [
        Route("/picture/{card}/{side}", page.picture),
        Route("/hand", page.hand, methods=["POST"]),
        Route("/begin", page.begin, methods=["POST"]),
        Route("/answer", page.answer, methods=["POST"]),
    ]
    folder, title, data = Path(__file__).parent, "Which picture?", study.database
    limits = {"longest": LONGEST_REASON}
    return pages.app(folder, title, routes, database=data, hosts=hosts, secure=secure, limits=limits)


class Page:
    """The routes of the vote page."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.presence = Presence()
        self.pictures = CardPictures(study)

    def picture(self, request: Request) -> Response:
        side = {"a": 0, "b": 1}.get(request.path_params["side"])
        if side is None or not request.path_params["card"].isascii():
            raise HTTPException(404)
        with self.study.database.reading() as connection:
            mine = cards.c.rater == request.state.rater.id
            card = connection.execute(select(cards).where(cards.c.id == request.path_params["card"], mine)).first()
        if card is None:
            raise HTTPException(404)
        return Response(self.pictures.sides(card)[side], media_type="image/png")

    async def hand(self, request: Request) -> Response:
        """The cards to look at now."""
        await fields(request)
        return await run_in_threadpool(self.change, request, lambda connection, rater: {})

    async def begin(self, request: Request) -> Response:
        """The next question's cards, once this one's are done."""
        await fields(request)

        def change(connection: Connection, rater: int) -> dict[str, Any]:
            begin(self.study, connection, rater, self.presence)
            return {}

        return await run_in_threadpool(self.change, request, change)

    async def answer(self, request: Request) -> Response:
        """Stores an answer, or takes the last one back; then the cards to look at now."""
        given = await fields(request, card=str, turn=int, choice=str, reason=str, milliseconds=int)
        if not 0 <= given["turn"] < 2**31 or not given["card"].isascii():
            raise HTTPException(400, "there is no such pair")
        require_short(given["reason"], LONGEST_REASON, "the reason")
        given["milliseconds"] = min(max(given["milliseconds"], 0), LONGEST_LOOK)
        given["reason"] = pages.storable(given["reason"])

        def change(connection: Connection, rater: int) -> dict[str, Any]:
            status = answer(self.study, connection, rater, **given)
            if status == "unknown":
                raise HTTPException(404, "this pair is not yours; load the page again")
            feedback = training_feedback(connection, given["card"], given["choice"]) if status == "stored" else None
            return {"status": status, "feedback": feedback}

        return await run_in_threadpool(self.change, request, change)

    def change(self, request: Request, change: Any) -> Response:
        """One transaction: the change, then the hand. It is committed before the answer is on its way."""
        rater = request.state.rater.id
        self.presence.note(rater)
        with self.study.database.writing() as connection:
            told = change(connection, rater)
            hand = deal(self.study, connection, rater, question_of(self.study, connection, rater), self.presence)
        return pages.answer({**told, **self.told(hand)})

    def told(self, hand: Hand) -> dict[str, Any]:
        """What the page may know of a hand."""
        return {
            "question": hand.question,
            "next": None if hand.open else next_question(self.study, hand.question),
            "cards": [self.told_card(card) for card in hand.open],
            "training": self.study.options.training,
            "answered": hand.answered,
            "total": hand.total,
            "last": hand.last and {"id": hand.last.id, "turn": hand.last.turn},
        }

    def told_card(self, card: Card) -> dict[str, Any]:
        caption = {"caption": self.study.matches[card.pair].prompt} if card.question == FAITHFULNESS else {}
        return {"id": card.id, "turn": card.turn, "training": card.kind.startswith(TRAINING), **caption}
