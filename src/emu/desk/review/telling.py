"""What the page may know: of a rater's passes, and of a picture that they look at."""

from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from emu.desk.review.dealing import Look
from emu.desk.review.invitations import Desk
from emu.desk.review.plan import CAPTIONS, RULES
from emu.desk.review.standing import CAPTION, REJECT, Standing, numbers, standing
from emu.desk.review.study import Review
from emu.desk.review.tables import drafts, look_events, looks
from emu.desk.review.waiting import words


def told_desk(review: Review, connection: Connection, mine: list[Desk]) -> dict[str, Any]:
    """The rater's passes and how far they are, the guideline's sections, and what pictures may be filtered by."""
    stands = standing(review, connection)
    return {
        "passes": [
            {**one.of.row(), "rule": RULES[one.of.keep], "arbiter": one.arbiter, **_far(stands, one)}
            | ({"raters": _raters(connection, one)} if one.arbiter else {})
            for one in mine
        ],
        "guideline": sections(review.plan.guideline),
        "concepts": sorted({picture.concept for picture in review.pictures.values() if picture.concept}),
        "scores": _ranges(review),
    }


def _far(stands: Standing, one: Desk) -> dict[str, Any]:
    ends = [stands.decided(one.of, key) for key in stands.entering(one.of.name)]
    far: dict[str, Any] = {"came": len(ends), "decided": len(ends) - ends.count(None), "stay": ends.count(True)}
    far["waits"] = words(stands.waiting(one.of), one.of.page)
    return far | ({"disputed": sum(1 for _ in stands.disputed(one.of))} if one.arbiter else {})


def _raters(connection: Connection, one: Desk) -> list[int]:
    """The numbers of those who have answered in a pass."""
    answered = (looks.c["pass"] == one.of.name) & looks.c.ruling.is_(False) & looks.c.choice.is_not(None)
    known = numbers(connection)
    return sorted(
        known[rater] for rater in connection.execute(select(looks.c.rater).where(answered).distinct()).scalars()
    )


def sections(text: str) -> list[dict[str, Any]]:
    """The lines of a text under its headings, which begin with #."""
    found: list[dict[str, Any]] = [{"title": "", "lines": []}]
    for line in map(str.strip, text.splitlines()):
        if line.startswith("#"):
            found.append({"title": line.lstrip("# "), "lines": []})
        elif line:
            found[-1]["lines"].append(line)
    return [one for one in found if one["title"] or one["lines"]]


def told_look(review: Review, connection: Connection, look: Look, *, ruling: bool) -> dict[str, Any]:
    """A look for the page; a caption where it is asked for, what others said where an arbiter settles it."""
    picture = review.pictures[look.picture]
    told = {"id": look.id, "turn": look.turn, "choice": look.choice, "reason": look.reason, "concept": picture.concept}
    if review.named(look._mapping["pass"]).page == CAPTIONS:
        draft = connection.execute(select(drafts.c.text).where(drafts.c.picture == look.picture)).scalar()
        told |= {"text": look.text or draft or picture.text, "source": picture.text, "drafted": draft is not None}
    if ruling:
        told["said"] = _said(connection, look)
    return told


def _said(connection: Connection, look: Look) -> list[dict[str, str]]:
    theirs = (looks.c["pass"] == look._mapping["pass"]) & (looks.c.picture == look.picture) & looks.c.ruling.is_(False)
    rows = connection.execute(select(looks).where(theirs & looks.c.choice.is_not(None)).order_by(looks.c.rater))
    return [{"choice": row.choice, "reason": row.reason, "text": row.text} for row in rows]


def _ranges(review: Review) -> dict[str, list[float]]:
    """Score -> [least, most] over all pictures, of those that differ."""
    names = sorted({name for picture in review.pictures.values() for name in picture.scores})
    found = {}
    for name in names:
        values = np.array([picture.scores[name] for picture in review.pictures.values() if name in picture.scores])
        if values.min() < values.max():
            found[name] = [float(values.min()), float(values.max())]
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
        picture = review.pictures[key]
        said = text.strip()
        human = said not in (picture.text.strip(), drafted.get(key, picture.text).strip())
        source = "human" if human else "source" if said == picture.text.strip() else "model"
        found[key] = (said, source)
    return found
