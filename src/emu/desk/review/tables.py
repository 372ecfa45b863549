"""The review's own tables, beside the raters and sessions of every page of the desk."""

import time

import sqlalchemy as sa

from emu.desk.database import SERIAL, metadata
from emu.desk.deck import Deck

# Looks: the pictures that a rater was dealt in a pass, or, as an arbiter, to settle (`ruling`).
DECK = Deck.of(
    "looks", "look_events", "look",
    sa.Column("pass", sa.String(32), nullable=False),
    sa.Column("ruling", sa.Boolean, nullable=False),
    sa.Column("picture", sa.String(32), nullable=False),
    sa.Column("reason", sa.Text, nullable=False, default=""),
    sa.Column("text", sa.Text, nullable=False, default=""),
    sa.UniqueConstraint("rater", "pass", "ruling", "picture"),
    sa.Index("looks_by_picture", "pass", "picture"),
    texts=("text",),
)  # fmt: skip
looks, look_events = DECK.cards, DECK.events

# Which passes a rater is invited to, and whether they settle what others disagree on.
invitations = sa.Table(
    "invitations", metadata,
    sa.Column("rater", sa.ForeignKey("raters.id"), primary_key=True),
    sa.Column("pass", sa.String(32), primary_key=True),
    sa.Column("arbiter", sa.Boolean, nullable=False, default=False),
)  # fmt: skip
# The guideline that raters saw, and since when.
guidelines = sa.Table(
    "guidelines", metadata,
    sa.Column("id", SERIAL, primary_key=True),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("at", sa.Float, nullable=False, default=time.time),
)  # fmt: skip
# Captions that a model has drafted.
drafts = sa.Table(
    "drafts", metadata,
    sa.Column("picture", sa.String(32), primary_key=True),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
)  # fmt: skip
