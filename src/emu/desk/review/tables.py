"""The review's own tables, beside the raters and sessions of every page of the desk."""

import time

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from emu.desk.database import SERIAL, metadata

# Which passes a rater is invited to, and whether they settle what others disagree on.
invitations = Table(
    "invitations", metadata,
    Column("rater", ForeignKey("raters.id"), primary_key=True),
    Column("pass", String(32), primary_key=True),
    Column("arbiter", Boolean, nullable=False, default=False),
)  # fmt: skip
# A picture that a rater was given to look at, and the answer that stands. `turn` counts the events of the look.
looks = Table(
    "looks", metadata,
    Column("id", String(32), primary_key=True),
    Column("rater", ForeignKey("raters.id"), nullable=False),
    Column("pass", String(32), nullable=False),
    Column("ruling", Boolean, nullable=False),
    Column("picture", String(32), nullable=False),
    Column("position", Integer, nullable=False),
    Column("turn", Integer, nullable=False, default=0),
    Column("choice", String(16)),
    Column("reason", Text, nullable=False, default=""),
    Column("text", Text, nullable=False, default=""),
    UniqueConstraint("rater", "pass", "ruling", "picture"),
    Index("looks_by_picture", "pass", "picture"),
)  # fmt: skip
# Everything that was ever answered, in order; nothing is changed or removed here.
look_events = Table(
    "look_events", metadata,
    Column("id", SERIAL, primary_key=True),
    Column("look", ForeignKey("looks.id"), nullable=False),
    Column("turn", Integer, nullable=False),
    Column("choice", String(16), nullable=False),
    Column("reason", Text, nullable=False, default=""),
    Column("text", Text, nullable=False, default=""),
    Column("milliseconds", Integer, nullable=False, default=0),
    Column("at", Float, nullable=False, default=time.time),
    UniqueConstraint("look", "turn"),
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
