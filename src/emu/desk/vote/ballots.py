"""Ballots: which answers a card accepts, and which question a rater is asked."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from emu.desk.dealing import Presence, Share
from emu.desk.deck import UNDO, Answer, Card, Status
from emu.desk.vote.assignment import Hand, deal
from emu.desk.vote.cards import DECK, cards
from emu.desk.vote.poll import Poll
from emu.desk.vote.questions import CHOICES, TRAINING, accepted, kind_of_check

LONGEST_REASON = 1000


@dataclass(frozen=True)
class Feedback:
    """What practice says of an answer; `kind` is that of the check, `answer` the right one."""

    right: bool
    kind: str
    answer: str


def question_of(poll: Poll, connection: Connection, rater: int) -> str:
    """The question that a rater is at: the last that they were dealt cards of, or the first."""
    begun = set(connection.execute(select(cards.c.question).where(cards.c.rater == rater).distinct()).scalars())
    return next((question for question in reversed(poll.questions) if question in begun), poll.questions[0])


def answer(poll: Poll, connection: Connection, rater: int, given: Answer) -> tuple[Status, Feedback | None]:
    """Take a card's turn with an answer, or with UNDO; inside a writing transaction. Feedback is for practice alone."""
    card = DECK.find(connection, rater, given.id)
    if card is None:
        return "unknown", None
    status = DECK.take(connection, card, given, fits=_fits(poll, connection, card, given.choice))
    practice = status == "stored" and given.choice != UNDO and card.kind.startswith(TRAINING)
    return status, _feedback(card, given.choice) if practice else None


def begin(poll: Poll, connection: Connection, rater: int, presence: Presence) -> Hand:
    """The next question's first cards, once nothing is left of the question before; else the cards that are left."""
    question = question_of(poll, connection, rater)
    hand = deal(poll, connection, rater, question, presence)
    following = next_question(poll, question)
    return hand if hand.open or following is None else deal(poll, connection, rater, following, presence)


def next_question(poll: Poll, question: str) -> str | None:
    """What is asked after `question`."""
    return next(iter(poll.questions[poll.questions.index(question) + 1 :]), None)


def _fits(poll: Poll, connection: Connection, card: Card, choice: str) -> bool:
    """An answer fits an open card; UNDO the card that was answered last, while its question is still being asked."""
    if choice != UNDO:
        return card.choice is None and choice in CHOICES[card.question]
    answered = Share(DECK, connection, card.rater, {"question": card.question}).answered
    last = bool(answered) and answered[-1].id == card.id
    return last and question_of(poll, connection, card.rater) == card.question and not card.kind.startswith(TRAINING)


def _feedback(card: Card, choice: str) -> Feedback:
    right = accepted(card.question, card.kind, swapped=card.swapped)
    return Feedback(choice in right, kind_of_check(card.kind), min(right))
