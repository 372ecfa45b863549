"""Who looks at what: pictures fill evenly, nobody meets one twice, and what one leaves behind goes to others.

Looks are given out a little ahead, so that pictures load in time. Pictures that others have begun come first, so that
they are decided soon; then those that `emu taste` finds likely, or all in a shuffled order.
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select

from emu.desk.presence import Presence
from emu.desk.review.pictures import Shown
from emu.desk.review.plan import GRID, Pass
from emu.desk.review.standing import REJECT, Standing, held, numbers, standing
from emu.desk.review.study import Review
from emu.desk.review.tables import looks

AHEAD = {GRID: 96}  # looks open at a time, of which the page shows some
AHEAD_SINGLE = 12

Look = Row[Any]


@dataclass(frozen=True)
class Filter:
    """Which pictures a rater wants to see next: of a concept, with a score in [low, high]; empty for any.

    Where an arbiter settles what raters differ on, also those that one rater rejected, by number; 0 for any.
    """

    concept: str = ""
    score: str = ""
    low: float = float("-inf")
    high: float = float("inf")
    rater: int = 0

    def lets(self, picture: Shown) -> bool:
        if self.concept and picture.concept != self.concept:
            return False
        return not self.score or self.low <= picture.scores.get(self.score, float("nan")) <= self.high


@dataclass(frozen=True)
class Hand:
    """The looks that a rater has open, the next one first, and how far the pass is.

    Args:
        answered: by this rater.
        left: pictures that this rater may still be given, those that are open among them.
    """

    open: list[Look]
    answered: int
    left: int


def deal(
    review: Review, connection: Connection, rater: int, one: Pass, presence: Presence, *, chosen: Filter, ruling: bool
) -> Hand:
    """Top up a rater's open looks, inside of a writing transaction; what the filter does not let is given back."""
    mine = _mine(connection, rater, one, ruling)
    theirs = _rejected_by(connection, one, chosen.rater) if ruling and chosen.rater else None

    def lets(key: str) -> bool:
        return chosen.lets(review.pictures[key]) and (theirs is None or key in theirs)

    back = [look.id for look in mine if look.choice is None and not look.turn and not lets(look.picture)]
    stands = standing(review, connection)
    free = _free(review, connection, rater, one, presence, stands) if not ruling else stands.disputed(one)
    wanted = dict.fromkeys(free)
    back += [look.id for look in mine if look.choice is None and not look.turn and look.picture not in wanted]
    if back:
        connection.execute(delete(looks).where(looks.c.id.in_(back)))
        mine = _mine(connection, rater, one, ruling)
    met = {look.picture for look in mine}
    fresh = [key for key in wanted if key not in met and lets(key)]
    open_ = [look for look in mine if look.choice is None]
    room = AHEAD.get(one.page, AHEAD_SINGLE) - len(open_)
    if fresh and room > 0:
        _give(connection, rater, one, fresh[:room], start=mine[-1].position + 1 if mine else 0, ruling=ruling)
        open_ = [look for look in _mine(connection, rater, one, ruling) if look.choice is None]
    left = len(open_) + max(len(fresh) - max(room, 0), 0)
    return Hand(open_, answered(connection, rater, one, ruling=ruling), left)


def answered(connection: Connection, rater: int, one: Pass, *, ruling: bool) -> int:
    """How many looks of a rater are answered in a pass."""
    chosen = _of(rater, one, ruling) & looks.c.choice.is_not(None)
    return int(connection.execute(select(func.count()).select_from(looks).where(chosen)).scalar() or 0)


def last(connection: Connection, rater: int, one: Pass, *, ruling: bool, count: int) -> list[Look]:
    """The looks that a rater answered last, in the order in which they were given."""
    chosen = select(looks).where(_of(rater, one, ruling) & looks.c.choice.is_not(None))
    return list(connection.execute(chosen.order_by(looks.c.position.desc()).limit(count)))[::-1]


def _free(
    review: Review, connection: Connection, rater: int, one: Pass, presence: Presence, stands: Standing
) -> Iterator[str]:
    """The pictures that want this rater's look, in the order in which they are given out."""
    known = connection.execute(select(looks.c.rater).distinct()).scalars()
    taken = held(connection, one, rater, {other for other in known if presence.away(other)})
    wanting = [
        key
        for key in stands.entering(one.name)
        if stands.of(one, key).ruling is None and taken[key] < stands.wanted(one, key)
    ]
    yield from sorted(wanting, key=lambda key: (-taken[key], review.ranks[key]))


def _mine(connection: Connection, rater: int, one: Pass, ruling: bool) -> list[Look]:
    return list(connection.execute(select(looks).where(_of(rater, one, ruling)).order_by(looks.c.position)))


def _of(rater: int, one: Pass, ruling: bool) -> Any:
    return (looks.c.rater == rater) & (looks.c["pass"] == one.name) & (looks.c.ruling == ruling)


def _rejected_by(connection: Connection, one: Pass, number: int) -> set[str]:
    raters = [rater for rater, known in numbers(connection).items() if known == number]
    rejected = (looks.c["pass"] == one.name) & looks.c.ruling.is_(False) & (looks.c.choice == REJECT)
    return set(connection.execute(select(looks.c.picture).where(rejected & looks.c.rater.in_(raters))).scalars())


def _give(connection: Connection, rater: int, one: Pass, keys: list[str], *, start: int, ruling: bool) -> None:
    own = {"rater": rater, "pass": one.name, "ruling": ruling, "turn": 0, "choice": None, "reason": "", "text": ""}
    rows = [
        {**own, "id": secrets.token_hex(16), "picture": key, "position": start + number}
        for number, key in enumerate(keys)
    ]
    connection.execute(insert(looks), rows)
