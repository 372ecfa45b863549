"""The vote's cards: which match a rater was shown in which question, and as what kind of card."""

from sqlalchemy import Boolean, Column, Index, String, UniqueConstraint

from emu.desk.deck import Deck

DECK = Deck.of(
    "cards", "events", "card",
    Column("question", String(16), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("pair", String(32), nullable=False),
    Column("swapped", Boolean, nullable=False),
    UniqueConstraint("rater", "question", "position"),
    UniqueConstraint("rater", "question", "kind", "pair"),
    Index("cards_by_pair", "question", "kind", "pair"),
)  # fmt: skip
cards, events = DECK.cards, DECK.events
