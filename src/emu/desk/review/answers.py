"""Answers: each stored before it is acknowledged, and counted once however often it arrives.

A look has turns: the first answer takes turn 0, a change of mind turn 1. A message names the turn that it takes, and a
turn is taken once. So what comes twice, or from a tab that another one has overtaken, changes nothing.
"""

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, insert, select, update

from emu.data.sources.entry import LONGEST_CAPTION
from emu.desk.review.plan import LONGEST_REASON, Pass
from emu.desk.review.standing import CAPTION, choices
from emu.desk.review.tables import look_events, looks
from emu.errors import UserError

__all__ = ["LONGEST_CAPTION", "LONGEST_REASON", "Answer", "Status", "store"]

Status = Literal["stored", "stale", "unknown"]


@dataclass(frozen=True)
class Answer:
    """What a rater says of a look at its turn; `text` is the caption."""

    look: str
    turn: int
    choice: str
    reason: str = ""
    text: str = ""
    milliseconds: int = 0


def store(connection: Connection, rater: int, one: Pass, given: Answer) -> Status:
    """Take a look's turn, inside of a writing transaction.

    Returns:
        "stored", also for what was stored before; "stale" where the turn was taken otherwise, or is not the next;
        "unknown" where the rater has no such look in this pass.

    Raises:
        UserError: an answer that the pass does not take.
    """
    if given.choice not in choices(one) or (given.choice == CAPTION and not given.text.strip()):
        raise UserError(f"{given.choice}: no answer of this pass")
    mine = (looks.c.id == given.look) & (looks.c.rater == rater) & (looks.c["pass"] == one.name)
    found = connection.execute(select(looks).where(mine)).one_or_none()
    if found is None:
        return "unknown"
    taken = select(look_events).where(look_events.c.look == given.look, look_events.c.turn == given.turn)
    before = connection.execute(taken).one_or_none()
    said = {"choice": given.choice, "reason": given.reason, "text": given.text}
    if before is not None:
        return "stored" if all(getattr(before, name) == value for name, value in said.items()) else "stale"
    if given.turn != found.turn:
        return "stale"
    event = {**said, "look": given.look, "turn": given.turn, "milliseconds": given.milliseconds}
    connection.execute(insert(look_events).values(event))
    connection.execute(update(looks).where(looks.c.id == given.look).values(turn=given.turn + 1, **said))
    return "stored"
