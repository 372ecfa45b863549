"""Who looks at what: matches fill evenly, and no rater meets one twice but as a repeat.

An open card counts for its match as a vote would, until its rater has been away for a while.
"""

from collections import Counter
from dataclasses import dataclass

from sqlalchemy import Connection

from emu.desk.dealing import Presence, Share
from emu.desk.deck import Card
from emu.desk.vote.cards import DECK
from emu.desk.vote.poll import Poll
from emu.desk.vote.questions import FOREIGN, IDENTICAL, MATCH, REPEAT, TRAINING
from emu.desk.vote.slots import cards_for, slot

AHEAD = 3
REPEAT_GAP = 8  # a repeat is none of the newest so many cards


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


def deal(poll: Poll, connection: Connection, rater: int, question: str, presence: Presence) -> Hand:
    """Top up the rater's open cards to AHEAD, inside a writing transaction."""
    desk = Deal(poll, connection, rater, question)
    desk.others = desk.held("pair", presence, kind=MATCH)
    desk.give_back(card for card in desk.open if card.kind == MATCH and desk.full(card.pair))
    while len(desk.open) < AHEAD and desk.free:
        desk.give([desk.next_card()])
    last = desk.answered[-1] if desk.answered and not desk.answered[-1].kind.startswith(TRAINING) else None
    ahead = cards_for(poll, rater, question, matches=len(desk.free), start=desk.position)
    return Hand(question, desk.open, len(desk.answered), len(desk.mine) + ahead, last)


class Deal(Share):
    """One rater's cards of one question, and how many others hold each match."""

    def __init__(self, poll: Poll, connection: Connection, rater: int, question: str) -> None:
        super().__init__(DECK, connection, rater, {"question": question})
        self.poll, self.question = poll, question
        self.others = Counter[str]()

    def full(self, pair: str) -> bool:
        """Whether others hold as many votes on a match as are wanted."""
        return self.others[pair] >= self.poll.options.wanted(self.question)

    @property
    def free(self) -> list[str]:
        """Matches that want votes and that this rater has not met."""
        met = {card.pair for card in self.mine if card.kind == MATCH}
        return [key for key in self.poll.matches if key not in met and not self.full(key)]

    def next_card(self) -> dict[str, str | bool]:
        """What the next card shows: a match, where there is nothing to check or repeat with."""
        kind = slot(self.poll, self.rater, self.question, self.position)
        if kind.endswith(FOREIGN) and len({match.prompt for match in self.poll.matches.values()}) == 1:
            kind = kind.removesuffix(FOREIGN) + IDENTICAL
        pairs = self.candidates(kind)
        if not pairs:
            kind, pairs = MATCH, set(self.free)
        pair = min(pairs, key=lambda key: (kind == MATCH and self.others[key], self.number(kind, key)))
        return {"kind": kind, "pair": pair, "swapped": self.side(kind, pair)}

    def candidates(self, kind: str) -> set[str]:
        """The matches that a card of this kind may show."""
        if kind == MATCH:
            return set(self.free)
        used = {card.pair for card in self.mine if card.kind == kind}
        old = {card.pair for card in self.mine[:-REPEAT_GAP] if card.kind == MATCH and card.choice is not None}
        return (old if kind == REPEAT else self.poll.matches.keys()) - used

    def side(self, kind: str, pair: str) -> bool:
        """Whether a card has its sides swapped: drawn for every rater, and the other way round in a repeat."""
        if kind == REPEAT:
            return not next(card.swapped for card in self.mine if card.kind == MATCH and card.pair == pair)
        return bool(self.poll.number("side", self.rater, kind, pair) & 1)

    def number(self, kind: str, pair: str) -> int:
        """Where a match comes in this rater's own order."""
        return self.poll.number("order", self.rater, self.question, kind, pair)
