"""Decks: the cards that a page deals to its raters, and the log of every answer they gave.

A card has turns: an answer takes turn 0, taking it back or changing it turn 1, and so on. A message names the turn that
it takes, and a turn is taken once. So a message that comes twice, or from a tab that another has overtaken, changes
nothing.
"""

import time
from dataclasses import asdict, dataclass
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.schema import SchemaItem

from emu.desk.database import SERIAL, metadata

UNDO = "undo"  # the choice that takes an answer back

Card = sa.Row[Any]
Status = Literal["stored", "stale", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a rater says about a card at one of its turns; `id` is the card's."""

    id: str
    turn: int
    choice: str
    reason: str = ""
    milliseconds: int = 0


@dataclass(frozen=True)
class Deck:
    """The two tables of a page.

    Args:
        cards: what raters were dealt, and the answer that stands; `turn` counts the card's events.
        events: everything that was ever answered, in order; nothing is changed or removed here.
        key: the column of `events` that names the card.
    """

    cards: sa.Table
    events: sa.Table
    key: str

    @classmethod
    def of(cls, cards: str, events: str, key: str, *own: SchemaItem, texts: tuple[str, ...] = ()) -> "Deck":
        """A deck of tables with these names.

        Args:
            own: the page's own columns of a card, with their constraints.
            texts: what an answer says beside its choice and its reason.
        """
        dealt = sa.Table(
            cards, metadata,
            sa.Column("id", sa.String(32), primary_key=True),
            sa.Column("rater", sa.ForeignKey("raters.id"), nullable=False),
            sa.Column("position", sa.Integer, nullable=False),
            sa.Column("turn", sa.Integer, nullable=False, default=0),
            sa.Column("choice", sa.String(16)),
            *own,
        )  # fmt: skip
        log = sa.Table(
            events, metadata,
            sa.Column("id", SERIAL, primary_key=True),
            sa.Column(key, sa.ForeignKey(f"{cards}.id"), nullable=False),
            sa.Column("turn", sa.Integer, nullable=False),
            sa.Column("choice", sa.String(16), nullable=False),
            *(sa.Column(name, sa.Text, nullable=False, default="") for name in ("reason", *texts)),
            sa.Column("milliseconds", sa.Integer, nullable=False, default=0),
            sa.Column("at", sa.Float, nullable=False, default=time.time),
            sa.UniqueConstraint(key, "turn"),
        )  # fmt: skip
        return cls(dealt, log, key)

    def find(self, connection: sa.Connection, rater: int, card: str) -> Card | None:
        """A card by its id; None where this rater has no such card."""
        if not card.isalnum() or not card.isascii():  # no id, and nothing that a database takes
            return None
        mine = (self.cards.c.id == card) & (self.cards.c.rater == rater)
        return connection.execute(sa.select(self.cards).where(mine)).one_or_none()

    def take(self, connection: sa.Connection, card: Card, answer: Answer, *, fits: bool = True) -> Status:
        """Take a card's turn, inside a writing transaction.

        Args:
            fits: whether the page accepts this answer now.

        Returns:
            "stored", also for what was stored before; "stale" where the turn was taken by another answer, or this one
            does not fit. (Callers say "unknown" where the rater has no such card.)
        """
        said = {name: value for name, value in asdict(answer).items() if name not in ("id", "turn", "milliseconds")}
        at_turn = (self.events.c[self.key] == card.id) & (self.events.c.turn == answer.turn)
        earlier = connection.execute(sa.select(self.events).where(at_turn)).mappings().one_or_none()
        if earlier is not None:
            return "stored" if all(earlier[name] == value for name, value in said.items()) else "stale"
        if answer.turn != card.turn or not fits:
            return "stale"
        event = {self.key: card.id, "turn": answer.turn, "milliseconds": answer.milliseconds, **said}
        connection.execute(sa.insert(self.events).values(event))
        stands = {name: value for name, value in said.items() if name in self.cards.c}
        stands |= {"choice": None if answer.choice == UNDO else answer.choice, "turn": answer.turn + 1}
        connection.execute(sa.update(self.cards).where(self.cards.c.id == card.id).values(stands))
        return "stored"
