"""What the answers come to: of every picture, in every pass, its votes, and whether it stays.

A picture is decided in a pass once as many raters as it wants have answered, or an arbiter has. It wants as many as
the plan says, or as there are raters: who reviews alone decides alone. It comes into the next pass as soon as it is
decided to stay: no pass waits for the end of the one before. Whoever changes an answer later changes what follows from
it, and looks at a picture that has left since count for nothing.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, func, select

from emu.desk.database import raters
from emu.desk.review.plan import CAPTIONS, Pass
from emu.desk.review.study import Review
from emu.desk.review.tables import invitations, looks

KEEP, REJECT, CAPTION = "keep", "reject", "caption"


@dataclass
class Votes:
    """One picture's in one pass; `ruling` is an arbiter's word, KEEP or REJECT."""

    keep: int = 0
    reject: int = 0
    ruling: str | None = None

    @property
    def differ(self) -> bool:
        return self.keep > 0 and self.reject > 0


@dataclass(frozen=True)
class Far:
    """How far a pass is: pictures that came into it, that are decided, and that stay."""

    came: int
    decided: int
    stay: int


@dataclass
class Standing:
    """Where every picture of a review stands.

    Args:
        votes: pass -> picture -> its votes; who has none is not in it.
        raters: pass -> how many are invited to it, by links that are open.
    """

    review: Review
    votes: dict[str, dict[str, Votes]] = field(default_factory=dict)
    raters: dict[str, int] = field(default_factory=dict)

    def of(self, one: Pass, key: str) -> Votes:
        return self.votes.get(one.name, {}).get(key) or Votes()

    def decided(self, one: Pass, key: str) -> bool | None:
        """Whether a picture stays in a pass; None while votes are missing."""
        votes = self.of(one, key)
        if votes.ruling is not None:
            return votes.ruling == KEEP
        return None if self.missing(one, key) > 0 else one.stays(votes.keep, votes.reject)

    def wanted(self, one: Pass, key: str) -> int:
        """How many raters look at a picture in a pass: what the plan says, and never more than there are, but one."""
        return min(self.review.wanted(one, key), max(1, self.raters.get(one.name, 0)))

    def missing(self, one: Pass, key: str) -> int:
        """How many looks a picture of a pass still waits for, where no arbiter has settled it; 0 or less for none."""
        votes = self.of(one, key)
        return self.wanted(one, key) - votes.keep - votes.reject

    def waiting(self, one: Pass) -> Counter[int]:
        """Looks that are missing -> how many pictures of a pass wait for as many; every picture waits in one pass."""
        return Counter(self.missing(one, key) for key in self.entering(one.name) if self.decided(one, key) is None)

    def waits(self, one: Pass) -> str:
        """`300 wait for 1 look, 12 for 2 looks`, so that raters see why a picture is not decided yet; else empty."""
        return waiting_words(self.waiting(one), one.page)

    def far(self, one: Pass) -> Far:
        ends = [self.decided(one, key) for key in self.entering(one.name)]
        return Far(len(ends), len(ends) - ends.count(None), ends.count(True))

    def entering(self, name: str) -> list[str]:
        """The pictures that are let into a pass, in the order of the folder."""
        let_in = list(self.review.pictures)
        for one in self.review.plan.passes:
            if one.name == name:
                return let_in
            let_in = [key for key in let_in if self.decided(one, key)]
        raise AssertionError(name)

    def disputed(self, one: Pass) -> Iterator[str]:
        """The pictures of a pass whose raters differ and that no arbiter has settled."""
        for key in self.entering(one.name):
            votes = self.of(one, key)
            if votes.differ and votes.ruling is None:
                yield key


def standing(review: Review, connection: Connection) -> Standing:
    """All answers that stand, counted."""
    invited = (
        select(invitations.c["pass"], func.count())
        .join(raters, raters.c.id == invitations.c.rater)
        .where(raters.c.revoked.is_(False))
        .group_by(invitations.c["pass"])
    )
    by = (looks.c["pass"], looks.c.picture, looks.c.ruling, looks.c.choice)
    counted = select(*by, func.count()).where(looks.c.choice.is_not(None)).group_by(*by)
    found = Standing(review, raters={row[0]: row[1] for row in connection.execute(invited)})
    for name, key, ruling, choice, number in connection.execute(counted):
        votes = found.votes.setdefault(name, {}).setdefault(key, Votes())
        if ruling:
            votes.ruling = REJECT if choice == REJECT else KEEP
        elif choice == REJECT:
            votes.reject += number
        else:
            votes.keep += number
    return found


def waiting_words(missing: Mapping[int, int], page: str | None) -> str:
    """Looks that are missing -> how many pictures of a pass of that page wait for as many; in words."""
    thing = "caption" if page == CAPTIONS else "look"
    parts = [
        f"{missing[looks]:,}{'' if at else ' wait'} for {looks} {thing}{'s' if looks > 1 else ''}"
        for at, looks in enumerate(sorted(missing))
    ]
    return ", ".join(parts)


def choices(one: Pass) -> tuple[str, ...]:
    """The answers that a pass takes."""
    return (CAPTION, REJECT) if one.page == CAPTIONS else (KEEP, REJECT)
