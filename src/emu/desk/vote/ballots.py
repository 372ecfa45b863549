"""Answers: each stored before it is acknowledged, and counted once however often it arrives.

A card has turns: an answer takes turn 0, taking it back turn 1, the next answer turn 2. A message names the turn that
it takes, and a turn is taken once. So what comes twice, or from a tab that another one has overtaken, changes nothing.
"""

from typing import Literal

from sqlalchemy import Connection, func, insert, select, update

from emu.desk.database import cards, events
from emu.desk.vote.assignment import Card, Hand, Presence, deal
from emu.desk.vote.questions import CHOICES, TRAINING, UNDO, accepted, kind_of_check
from emu.desk.vote.study import Study

Status = Literal["stored", "stale", "unknown"]

LONGEST_REASON = 1000


def question_of(study: Study, connection: Connection, rater: int) -> str:
    """The question that a rater is at: the last that they were given cards of, or the first."""
    begun = set(connection.execute(select(cards.c.question).where(cards.c.rater == rater).distinct()).scalars())
    return next((question for question in reversed(study.questions) if question in begun), study.questions[0])


def answer(
    study: Study,
    connection: Connection,
    rater: int,
    *,
    card: str,
    turn: int,
    choice: str,
    reason: str,
    milliseconds: int,
) -> Status:
    """Take a card's turn with an answer, or with UNDO; inside of a writing transaction.

    Returns:
        "stored", also for what was stored before; "stale" where the turn was taken otherwise, or is not to be taken;
        "unknown" where the rater has no such card.
    """
    found = connection.execute(select(cards).where(cards.c.id == card, cards.c.rater == rater)).one_or_none()
    if found is None:
        return "unknown"
    taken = select(events.c.choice).where(events.c.card == card, events.c.turn == turn)
    before = connection.execute(taken).scalar()
    if before is not None:
        return "stored" if before == choice else "stale"
    if turn != found.turn or not _fits(study, connection, found, choice):
        return "stale"
    row = {"card": card, "turn": turn, "choice": choice, "reason": reason, "milliseconds": milliseconds}
    connection.execute(insert(events).values(row))
    stands = None if choice == UNDO else choice
    connection.execute(update(cards).where(cards.c.id == card).values(turn=turn + 1, choice=stands))
    return "stored"


def _fits(study: Study, connection: Connection, card: Card, choice: str) -> bool:
    """An answer fits an open card; UNDO the card that was answered last, while its question is still being asked."""
    if choice != UNDO:
        return card.choice is None and choice in CHOICES[card.question]
    newest = select(func.max(cards.c.position)).where(
        cards.c.rater == card.rater, cards.c.question == card.question, cards.c.choice.is_not(None)
    )
    last = card.choice is not None and card.position == connection.execute(newest).scalar()
    asked = question_of(study, connection, card.rater) == card.question
    return last and asked and not card.kind.startswith(TRAINING)


def begin(study: Study, connection: Connection, rater: int, presence: Presence) -> Hand:
    """The next question's first cards, once nothing of the question before is left; else the cards that are left."""
    question = question_of(study, connection, rater)
    hand = deal(study, connection, rater, question, presence)
    following = next_question(study, question)
    return hand if hand.open or following is None else deal(study, connection, rater, following, presence)


def next_question(study: Study, question: str) -> str | None:
    """What is asked after `question`."""
    return next(iter(study.questions[study.questions.index(question) + 1 :]), None)


def training_feedback(connection: Connection, card: str, choice: str) -> dict[str, bool | str] | None:
    """Of a training card whether the answer was right, what is, and why; None for all other cards."""
    found = connection.execute(select(cards).where(cards.c.id == card)).one()
    if not found.kind.startswith(TRAINING) or choice == UNDO:
        return None
    right = accepted(found.question, found.kind, swapped=found.swapped)
    return {"right": choice in right, "kind": kind_of_check(found.kind), "answer": min(right)}
