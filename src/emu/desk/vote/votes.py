"""Votes as stored: what stands on every answered card, with sides turned back to what they show."""

from dataclasses import dataclass

from sqlalchemy import and_, select

from emu.desk.database import cards, events, raters
from emu.desk.vote.matches import Match
from emu.desk.vote.questions import MATCH, REPEAT, TRAINING, accepted, outcome
from emu.desk.vote.study import Study


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


def read_votes(study: Study) -> list[Vote]:
    """Every answer that stands, training left out, in the order in which they came."""
    standing = and_(events.c.card == cards.c.id, events.c.turn == cards.c.turn - 1)
    chosen = (
        select(cards, events.c.reason, events.c.milliseconds, events.c.at)
        .join(events, standing)
        .where(cards.c.choice.is_not(None))
        .order_by(events.c.id)
    )
    with study.database.reading() as connection:
        rows = connection.execute(chosen).all()
    return [
        Vote(
            rater=f"rater-{row.rater}",
            question=row.question,
            kind=row.kind,
            match=study.matches[row.pair],
            outcome=outcome(row.choice, swapped=row.swapped),
            shown=row.choice,
            right=_right(row.question, row.kind, row.choice, row.swapped),
            reason=row.reason,
            milliseconds=row.milliseconds,
            at=row.at,
        )
        for row in rows
        if not row.kind.startswith(TRAINING)
    ]


def rater_names(study: Study) -> dict[str, str]:
    """`rater-3` -> the name that the owner of the study gave."""
    with study.database.reading() as connection:
        return {f"rater-{row.id}": row.name for row in connection.execute(select(raters.c.id, raters.c.name))}


def _right(question: str, kind: str, choice: str, swapped: bool) -> bool | None:
    return None if kind in (MATCH, REPEAT) else choice in accepted(question, kind, swapped=swapped)
