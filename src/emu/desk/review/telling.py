"""What the page may know: of a rater's passes, and of a picture that they look at."""

from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, select

from emu.desk.deck import Card
from emu.desk.review.plan import CAPTIONS
from emu.desk.review.raters import Desk, desks
from emu.desk.review.standing import CAPTION, REJECT, Far, Standing, standing
from emu.desk.review.study import Review
from emu.desk.review.tables import drafts, look_events, looks
from emu.storage.records import left_out


@dataclass(frozen=True)
class PassEntry(Far):
    """A pass of the rater's; `disputed` and the numbers of its `raters` are for an arbiter."""

    name: str
    page: str
    reasons: tuple[str, ...]
    rule: str
    waits: str
    arbiter: bool
    disputed: int | None = left_out()
    raters: list[int] | None = left_out()


@dataclass
class Section:
    """Lines of the guideline under their heading."""

    title: str
    lines: list[str]


@dataclass(frozen=True)
class Overview:
    """What a rater may do, and what pictures may be filtered by: concepts, and scores with their least and most."""

    passes: list[PassEntry]
    guideline: list[Section]
    concepts: list[str]
    scores: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class ShownLook:
    """A look; its captions where one is asked for, what others said where an arbiter settles it."""

    id: str
    turn: int
    choice: str | None
    reason: str
    concept: str
    text: str | None = left_out()
    source: str | None = left_out()
    drafted: bool | None = left_out()
    said: list[dict[str, str]] | None = left_out()


def overview(review: Review, connection: Connection, rater: int) -> Overview:
    """What a rater comes to."""
    stands = standing(review, connection)
    return Overview(
        passes=[_entry(stands, connection, mine) for mine in desks(review, connection, rater)],
        guideline=sections(review.plan.guideline),
        concepts=sorted({picture.concept for picture in review.pictures.values() if picture.concept}),
        scores=_ranges(review),
    )


def _entry(stands: Standing, connection: Connection, mine: Desk) -> PassEntry:
    one = mine.of
    return PassEntry(
        **vars(stands.far(one)),
        name=one.name,
        page=one.page,
        reasons=one.reasons,
        rule=one.rule,
        waits=stands.waits(one),
        arbiter=mine.arbiter,
        disputed=sum(1 for _ in stands.disputed(one)) if mine.arbiter else None,
        raters=_raters(connection, one.name) if mine.arbiter else None,
    )


def _raters(connection: Connection, name: str) -> list[int]:
    """The numbers of those who have answered in a pass."""
    answered = (looks.c["pass"] == name) & looks.c.ruling.is_(False) & looks.c.choice.is_not(None)
    return sorted(connection.execute(select(looks.c.rater).where(answered).distinct()).scalars())


def sections(text: str) -> list[Section]:
    """The lines of a text under its headings, which begin with #."""
    found = [Section("", [])]
    for line in map(str.strip, text.splitlines()):
        if line.startswith("#"):
            found.append(Section(line.lstrip("# "), []))
        elif line:
            found[-1].lines.append(line)
    return [one for one in found if one.title or one.lines]


def shown(review: Review, connection: Connection, look: Card) -> ShownLook:
    """A look for the page."""
    picture, text, draft = review.pictures[look.picture], None, None
    captions = review.named(look._mapping["pass"]).page == CAPTIONS
    if captions:
        draft = connection.execute(select(drafts.c.text).where(drafts.c.picture == look.picture)).scalar()
        text = look.text or draft or picture.text
    return ShownLook(
        id=look.id,
        turn=look.turn,
        choice=look.choice,
        reason=look.reason,
        concept=picture.concept,
        text=text,
        source=picture.text if captions else None,
        drafted=draft is not None if captions else None,
        said=_said(connection, look) if look.ruling else None,
    )


def _said(connection: Connection, look: Card) -> list[dict[str, str]]:
    theirs = (looks.c["pass"] == look._mapping["pass"]) & (looks.c.picture == look.picture) & looks.c.ruling.is_(False)
    rows = connection.execute(select(looks).where(theirs & looks.c.choice.is_not(None)).order_by(looks.c.rater))
    return [{"choice": row.choice, "reason": row.reason} for row in rows]


def _ranges(review: Review) -> dict[str, tuple[float, float]]:
    """Score -> least and most over all pictures, of those that differ."""
    names = sorted({name for picture in review.pictures.values() for name in picture.scores})
    found = {}
    for name in names:
        values = np.array([picture.scores[name] for picture in review.pictures.values() if name in picture.scores])
        if values.min() < values.max():
            found[name] = (float(values.min()), float(values.max()))
    return found


def captions(review: Review, connection: Connection) -> dict[str, tuple[str, str]]:
    """Picture -> the caption that stands and its source: source, model or human."""
    drafted = {row.picture: row.text for row in connection.execute(select(drafts))}
    found = {
        key: (drafted[key], "model") if key in drafted else (picture.text, "source")
        for key, picture in review.pictures.items()
    }
    written = (
        select(looks.c.picture, look_events.c.text)
        .join(looks, looks.c.id == look_events.c.look)
        .where(look_events.c.choice == CAPTION, looks.c.choice != REJECT, look_events.c.turn == looks.c.turn - 1)
        .order_by(looks.c.ruling, look_events.c.id)
    )
    for key, text in connection.execute(written):
        source, written_now = review.pictures[key].text.strip(), text.strip()
        if written_now not in (source, drafted.get(key, source).strip()):
            found[key] = written_now, "human"
        else:
            found[key] = written_now, "source" if written_now == source else "model"
    return found
