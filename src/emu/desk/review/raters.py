"""The raters of a review: who looks in which pass, who settles what others differ on, and how far they are."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select

from emu.desk import raters
from emu.desk.database import Database
from emu.desk.review.plan import Pass
from emu.desk.review.standing import standing
from emu.desk.review.study import Review
from emu.desk.review.tables import invitations, looks


@dataclass(frozen=True)
class Desk:
    """A pass that a rater is invited to; `arbiter` if they also settle its disagreements."""

    of: Pass
    arbiter: bool


def invite(database: Database, name: str, passes: Sequence[Pass], *, arbiter: bool) -> str:
    """The token of a new link for a rater of these passes, besides those that they were invited to before."""

    def admit(connection: Connection, rater: int) -> None:
        names = [one.name for one in passes]
        mine = (invitations.c.rater == rater) & invitations.c["pass"].in_(names)
        connection.execute(delete(invitations).where(mine))
        rows = [{"rater": rater, "pass": name, "arbiter": arbiter} for name in names]
        connection.execute(insert(invitations), rows)

    return raters.invite(database, name, admit)


def desks(review: Review, connection: Connection, rater: int) -> list[Desk]:
    """The passes of a rater, in the order of the plan."""
    rows = connection.execute(select(invitations).where(invitations.c.rater == rater)).mappings()
    mine = {row["pass"]: bool(row["arbiter"]) for row in rows}
    return [Desk(one, mine[one.name]) for one in review.plan.passes if one.name in mine]


def progress(review: Review) -> list[str]:
    """`Ada: 580 of generalists`, then `generalists: 1,200 of 20,000 decided, 300 stay`."""
    counted = select(looks.c.rater, looks.c["pass"], func.count()).where(looks.c.choice.is_not(None))
    with review.database.reading() as connection:
        rows = connection.execute(counted.group_by(looks.c.rater, looks.c["pass"]))
        done = Counter({(rater, name): number for rater, name, number in rows})

        def said(rater: int) -> str:
            mine = [
                f"{done[rater, one.of.name]:,} of {one.of.name}{' (arbiter)' if one.arbiter else ''}"
                for one in desks(review, connection, rater)
            ]
            return ", ".join(mine) or "invited to no pass"

        lines, stands = raters.roll(connection, said), standing(review, connection)
    for one in review.plan.passes:
        far, waits = stands.far(one), stands.waits(one)
        lines.append(f"{one.name}: {far.decided:,} of {far.came:,} decided, {far.stay:,} stay{waits and f'; {waits}'}")
    return lines
