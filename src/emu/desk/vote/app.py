"""The vote page.

A card's address is 128 random bits and answers to its own rater alone. What a rater receives of a card is two
addresses that end in a and b, and in the second question the caption; kinds, seeds, paths and models stay here.
"""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from emu.desk.deck import Answer, Card, Status
from emu.desk.messages import Nothing, checked, message
from emu.desk.pages import DeskPage
from emu.desk.vote.assignment import Hand, deal
from emu.desk.vote.ballots import LONGEST_REASON, Feedback, answer, begin, next_question, question_of
from emu.desk.vote.cards import DECK
from emu.desk.vote.drawing import CardPictures
from emu.desk.vote.poll import Poll
from emu.desk.vote.questions import FAITHFULNESS, TRAINING
from emu.storage.records import left_out


@dataclass(frozen=True)
class ShownCard:
    """What the page knows of a card."""

    id: str
    turn: int
    training: bool = False
    caption: str | None = left_out()


@dataclass(frozen=True)
class Reply:
    """The cards to look at now, the next question where there are none, and what became of an answer."""

    question: str
    next: str | None
    cards: list[ShownCard]
    training: int
    answered: int
    total: int
    last: ShownCard | None
    status: Status | None = left_out()
    feedback: Feedback | None = left_out()


class VotePage(DeskPage):
    """Blind pairs of pictures, question by question."""

    folder, title, longest = Path(__file__).parent, "Which picture?", LONGEST_REASON

    def __init__(self, poll: Poll) -> None:
        super().__init__(poll.database, DECK)
        self.poll = poll
        self.pictures = CardPictures(poll)

    @property
    def routes(self) -> list[Route]:
        return [
            Route("/picture/{card}/{side}", self.picture),
            Route("/hand", self.hand, methods=["POST"]),
            Route("/begin", self.begin, methods=["POST"]),
            Route("/answer", self.answer, methods=["POST"]),
        ]

    def picture(self, request: Request) -> Response:
        side = {"a": 0, "b": 1}.get(request.path_params["side"])
        if side is None:
            raise HTTPException(404)
        return Response(self.pictures.sides(self.card(request))[side], media_type="image/png")

    async def hand(self, request: Request) -> Response:
        """The cards to look at now."""
        await message(request, Nothing)
        return await self.reply(request, self.dealt)

    async def begin(self, request: Request) -> Response:
        """The next question's cards, once this one's are done."""
        await message(request, Nothing)
        return await self.reply(request, self.begun)

    async def answer(self, request: Request) -> Response:
        """Stores an answer, or takes the last one back; then the cards to look at now."""
        given = checked(await message(request, Answer), {"reason": LONGEST_REASON})
        return await self.reply(request, partial(self.answered, given))

    def dealt(self, connection: Connection, rater: int) -> Reply:
        question = question_of(self.poll, connection, rater)
        return self.of(deal(self.poll, connection, rater, question, self.presence))

    def begun(self, connection: Connection, rater: int) -> Reply:
        return self.of(begin(self.poll, connection, rater, self.presence))

    def answered(self, given: Answer, connection: Connection, rater: int) -> Reply:
        status, feedback = answer(self.poll, connection, rater, given)
        if status == "unknown":
            raise HTTPException(404, "this pair is not yours; load the page again")
        return replace(self.dealt(connection, rater), status=status, feedback=feedback)

    def of(self, hand: Hand) -> Reply:
        """What the page may know of a hand."""
        return Reply(
            question=hand.question,
            next=None if hand.open else next_question(self.poll, hand.question),
            cards=[self.shown(card) for card in hand.open],
            training=self.poll.options.training,
            answered=hand.answered,
            total=hand.total,
            last=ShownCard(hand.last.id, hand.last.turn) if hand.last else None,
        )

    def shown(self, card: Card) -> ShownCard:
        caption = self.poll.matches[card.pair].prompt if card.question == FAITHFULNESS else None
        return ShownCard(card.id, card.turn, card.kind.startswith(TRAINING), caption)
