"""Who looks at what: matches fill evenly, and no rater meets one twice but as a repeat.

A card is given out a little ahead, so that its pictures load in time; it then counts for its match as a vote would.
What a rater leaves behind is given to others once that rater was away for AWAY seconds, by a clock that nobody sets.
"""

import secrets
from collections import Counter
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select

from emu.desk.database import cards
from emu.desk.presence import AWAY, Presence
from emu.desk.vote.questions import FOREIGN, IDENTICAL, MATCH, REPEAT, TRAINING
from emu.desk.vote.slots import cards_for, slot
from emu.desk.vote.study import Study

__all__ = ["AHEAD", "AWAY", "Card", "Deal", "Hand", "Presence", "deal"]

AHEAD = 3
REPEAT_GAP = 8  # a repeat is none of the newest so many cards
Card = Row[Any]


@dataclass(frozen=True)
class Hand:
    """The cards that a rater has open, the next one first, and how far they are in this question.

    Args:
        answered, total: counted in cards, checks among them, so that a check moves the bar as any other card does.
        last: the card that was answered last, where it may be taken back.
    """

    question: str
    open: list[Card]
    answered: int
    total: int
    last: Card | None


def deal(study: Study, connection: Connection, rater: int, question: str, presence: Presence) -> Hand:
    """Top up the rater's open cards to AHEAD, inside of a writing transaction."""
    desk = Deal(study, connection, rater, question)
    desk.count(presence)
    desk.give_back()
    while len(desk.open) < AHEAD and desk.place():
        pass
    answered = [card for card in desk.mine if card.choice is not None]
    last = answered[-1] if answered and not answered[-1].kind.startswith(TRAINING) else None
    ahead = cards_for(study, rater, question, matches=len(desk.free), start=desk.position)
    return Hand(question, desk.open, len(answered), len(desk.mine) + ahead, last)


class Deal:
    """One rater's cards of one question (`mine`, by position), and what the others hold of every match."""

    def __init__(self, study: Study, connection: Connection, rater: int, question: str) -> None:
        self.study, self.connection, self.rater, self.question = study, connection, rater, question
        self.wanted = study.options.wanted(question)
        self.held = Counter[str]()
        self.mine = self.read()

    def read(self) -> list[Card]:
        chosen = select(cards).where(cards.c.rater == self.rater, cards.c.question == self.question)
        return list(self.connection.execute(chosen.order_by(cards.c.position)))

    def count(self, presence: Presence) -> None:
        """Votes of the others, and the open cards of those who are here."""
        theirs = (cards.c.question == self.question) & (cards.c.kind == MATCH) & (cards.c.rater != self.rater)
        voted, given = theirs & cards.c.choice.is_not(None), theirs & cards.c.choice.is_(None)
        for pair, votes in self.connection.execute(select(cards.c.pair, func.count()).where(voted).group_by("pair")):
            self.held[pair] += votes
        for row in self.connection.execute(select(cards.c.pair, cards.c.rater).where(given)):
            self.held[row.pair] += not presence.away(row.rater)

    @property
    def position(self) -> int:
        """The next card's."""
        return self.mine[-1].position + 1 if self.mine else 0

    @property
    def open(self) -> list[Card]:
        return [card for card in self.mine if card.choice is None]

    @property
    def free(self) -> list[str]:
        """Matches that want votes and that this rater has not met."""
        met = {card.pair for card in self.mine if card.kind == MATCH}
        return [key for key in self.study.matches if key not in met and self.held[key] < self.wanted]

    def give_back(self) -> None:
        """Open cards whose match the others have filled meanwhile; never one that was answered and taken back."""
        filled = [card.id for card in self.open if self.held[card.pair] >= self.wanted and card.turn == 0]
        chosen = cards.c.id.in_(filled) & (cards.c.kind == MATCH)
        if filled and self.connection.execute(delete(cards).where(chosen)).rowcount:
            self.mine = self.read()

    def place(self) -> bool:
        """Add the rater's next card; False where no match is left for them."""
        if not self.free:
            return False
        kind, pair, swapped = self.fill(slot(self.study, self.rater, self.question, self.position))
        row = {"rater": self.rater, "question": self.question, "position": self.position, "kind": kind, "pair": pair}
        row |= {"id": secrets.token_hex(16), "swapped": swapped, "turn": 0, "choice": None}
        self.connection.execute(insert(cards).values(row))
        self.mine = self.read()
        return True

    def fill(self, kind: str) -> tuple[str, str, bool]:
        """(kind, match, swapped) of a card for this slot; a match where there is nothing to check or repeat with."""
        if kind.endswith(FOREIGN) and len({match.prompt for match in self.study.matches.values()}) == 1:
            kind = kind.removesuffix(FOREIGN) + IDENTICAL
        used = {card.pair for card in self.mine if card.kind == kind}
        if kind == REPEAT:
            old = [card for card in self.mine[:-REPEAT_GAP] if card.kind == MATCH and card.choice is not None]
            shown = {card.pair: card.swapped for card in old if card.pair not in used}
        else:
            shown = dict.fromkeys(self.study.matches.keys() - used, False)
        if kind == MATCH or not shown:
            pair = min(self.free, key=lambda key: (self.held[key], self.number(MATCH, key)))
            return MATCH, pair, self.side(MATCH, pair)
        pair = min(shown, key=lambda key: self.number(kind, key))
        return kind, pair, not shown[pair] if kind == REPEAT else self.side(kind, pair)

    def side(self, kind: str, pair: str) -> bool:
        return bool(self.study.number("side", self.rater, kind, pair) & 1)

    def number(self, kind: str, pair: str) -> int:
        """Where in this rater's own order a match comes."""
        return self.study.number("order", self.rater, self.question, kind, pair)
