"""The review's own tables, beside the raters and sessions of every page of the desk."""

import time

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, String, Table, Text, UniqueConstraint

from emu.desk.database import SERIAL, metadata
from emu.desk.deck import Deck

# Looks: the pictures that a rater was dealt in a pass, or, as an arbiter, to settle (`ruling`).
DECK = Deck.of(
    "looks", "look_events", "look",
    Column("pass", String(32), nullable=False),
    Column("ruling", Boolean, nullable=False),
    Column("picture", String(32), nullable=False),
    Column("reason", Text, nullable=False, default=""),
    Column("text", Text, nullable=False, default=""),
    UniqueConstraint("rater", "pass", "ruling", "picture"),
    Index("looks_by_picture", "pass", "picture"),
    texts=("text",),
)  # fmt: skip
looks, look_events = DECK.cards, DECK.events

# Which passes a rater is invited to, and whether they settle what others disagree on.
invitations = Table(
    "invitations", metadata,
    Column("rater", ForeignKey("raters.id"), primary_key=True),
    Column("pass", String(32), primary_key=True),
    Column("arbiter", Boolean, nullable=False, default=False),
)  # fmt: skip
# The guideline that raters saw, and since when.
guidelines = Table(
    "guidelines", metadata,
    Column("id", SERIAL, primary_key=True),
    Column("sha256", String(64), nullable=False),
    Column("text", Text, nullable=False),
    Column("at", Float, nullable=False, default=time.time),
)  # fmt: skip
# Captions that a model has drafted.
drafts = Table(
    "drafts", metadata,
    Column("picture", String(32), primary_key=True),
    Column("text", Text, nullable=False),
    Column("model", Text, nullable=False),
)  # fmt: skip
