"""Votes as stored: the answer that stands on every card, with sides turned back to what they show."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, and_, func, select

from emu.desk.database import raters
from emu.desk.raters import roll
from emu.desk.vote.cards import cards, events
from emu.desk.vote.matches import Match
from emu.desk.vote.poll import Poll
from emu.desk.vote.questions import MATCH, REPEAT, TRAINING, accepted, outcome
from emu.terminal.counted import many


@dataclass(frozen=True)
class Vote:
    """One answered card.

    Args:
        rater: "rater-3": whose it is, without the name.
        kind: "match" for a vote, else the kind of check.
        outcome: "first", "second", "tie", "both" or "neither".
        shown: "a" or "b", what the rater chose by where it stood, or the tie.
        right: of a check whether it was passed; None for all else.
    """

    rater: str
    question: str
    kind: str
    match: Match
    outcome: str
    shown: str
    right: bool | None
    reason: str
    milliseconds: int
    at: float


def read_votes(poll: Poll) -> list[Vote]:
    """Every answer that stands, training left out, in the order in which they came."""
    standing = and_(events.c.card == cards.c.id, events.c.turn == cards.c.turn - 1)
    chosen = (
        select(cards, events.c.reason, events.c.milliseconds, events.c.at)
        .join(events, standing)
        .where(cards.c.choice.is_not(None), cards.c.kind.not_like(f"{TRAINING}%"))
        .order_by(events.c.id)
    )
    with poll.database.reading() as connection:
        return [_vote(poll, row) for row in connection.execute(chosen)]


def rater_names(poll: Poll) -> dict[str, str]:
    """`rater-3` -> the name that the owner of the poll gave."""
    with poll.database.reading() as connection:
        return {f"rater-{row.id}": row.name for row in connection.execute(select(raters.c.id, raters.c.name))}


def _vote(poll: Poll, row: Row[Any]) -> Vote:
    checks = row.kind not in (MATCH, REPEAT)
    return Vote(
        rater=f"rater-{row.rater}",
        question=row.question,
        kind=row.kind,
        match=poll.matches[row.pair],
        outcome=outcome(row.choice, swapped=row.swapped),
        shown=row.choice,
        right=row.choice in accepted(row.question, row.kind, swapped=row.swapped) if checks else None,
        reason=row.reason,
        milliseconds=row.milliseconds,
        at=row.at,
    )


def progress(poll: Poll) -> list[str]:
    """`Ada: 58 appeal, 12 faithfulness`, then `appeal: 120 of 300 votes`."""
    counted = (
        select(cards.c.rater, cards.c.question, func.count())
        .where(cards.c.kind == MATCH, cards.c.choice.is_not(None))
        .group_by(cards.c.rater, cards.c.question)
    )
    with poll.database.reading() as connection:
        votes = Counter({(rater, question): number for rater, question, number in connection.execute(counted)})
        lines = roll(connection, lambda rater: ", ".join(f"{votes[rater, asked]} {asked}" for asked in poll.questions))
    for question in poll.questions:
        cast = sum(number for (_, asked), number in votes.items() if asked == question)
        lines.append(f"{question}: {cast:,} of {many(len(poll.matches) * poll.options.wanted(question), 'vote')}")
    return lines
