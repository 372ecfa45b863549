"""Dealing: each rater's cards, given out a little ahead, so that pictures are loaded when they are needed.

What a rater leaves behind goes to others once that rater has been away for AWAY seconds.
"""

import secrets
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, select

from emu.desk.deck import Card, Deck

AWAY = 600.0  # seconds, by a clock that nobody sets

Value = str | bool


@dataclass
class Presence:
    """When each rater was last here. All count as here when the server starts."""

    started: float = field(default_factory=time.monotonic)
    seen: dict[int, float] = field(default_factory=dict)

    def note(self, rater: int) -> None:
        self.seen[rater] = time.monotonic()

    def away(self, rater: int) -> bool:
        return time.monotonic() - self.seen.get(rater, self.started) > AWAY


class Share:
    """A rater's cards in one question or pass, inside a transaction: `mine`, by position.

    Args:
        group: what the cards of that question or pass have in common, by column.
    """

    def __init__(self, deck: Deck, connection: Connection, rater: int, group: Mapping[str, Value]) -> None:
        self.deck, self.connection, self.rater, self.group = deck, connection, rater, group
        self.mine = self._read()

    @property
    def open(self) -> list[Card]:
        return [card for card in self.mine if card.choice is None]

    @property
    def answered(self) -> list[Card]:
        return [card for card in self.mine if card.choice is not None]

    @property
    def position(self) -> int:
        """That of the next card."""
        return self.mine[-1].position + 1 if self.mine else 0

    def give(self, cards: Sequence[Mapping[str, Value]]) -> None:
        """Deal cards, each with the page's own columns."""
        own = {"rater": self.rater, "turn": 0, "choice": None, **self.group}
        rows = [
            {**own, **card, "id": secrets.token_hex(16), "position": self.position + number}
            for number, card in enumerate(cards)
        ]
        if rows:
            self.connection.execute(insert(self.deck.cards), rows)
            self.mine = self._read()

    def give_back(self, cards: Iterable[Card]) -> None:
        """Take open cards from the rater; never one that was answered and taken back."""
        untouched = [card.id for card in cards if card.choice is None and not card.turn]
        if untouched:
            self.connection.execute(delete(self.deck.cards).where(self.deck.cards.c.id.in_(untouched)))
            self.mine = self._read()

    def held(self, column: str, presence: Presence, **among: Value) -> Counter[str]:
        """How many others have answered a card of this group, or have it open and are here, by what it shows.

        Args:
            column: where a card says what it shows.
            among: counts only cards with these values.
        """
        cards = self.deck.cards.c
        known = self.connection.execute(select(cards.rater).distinct()).scalars()
        away = [other for other in known if presence.away(other)]
        theirs = self._where({**self.group, **among}) & (cards.rater != self.rater)
        counts = theirs & (cards.choice.is_not(None) | cards.rater.not_in(away))
        rows = self.connection.execute(select(cards[column], func.count()).where(counts).group_by(cards[column]))
        return Counter({row[0]: row[1] for row in rows})

    def _read(self) -> list[Card]:
        cards = self.deck.cards
        mine = self._where({**self.group, "rater": self.rater})
        return list(self.connection.execute(select(cards).where(mine).order_by(cards.c.position)))

    def _where(self, values: Mapping[str, Value | int]) -> ColumnElement[bool]:
        return and_(*(self.deck.cards.c[name] == value for name, value in values.items()))
