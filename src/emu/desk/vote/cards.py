"""The vote's cards: which match a rater was shown in which question, and as what kind of card."""

import sqlalchemy as sa

from emu.desk.deck import Deck

DECK = Deck.of(
    "cards", "events", "card",
    sa.Column("question", sa.String(16), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("pair", sa.String(32), nullable=False),
    sa.Column("swapped", sa.Boolean, nullable=False),
    sa.UniqueConstraint("rater", "question", "position"),
    sa.UniqueConstraint("rater", "question", "kind", "pair"),
    sa.Index("cards_by_pair", "question", "kind", "pair"),
)  # fmt: skip
cards, events = DECK.cards, DECK.events
