"""Who looks in which pass, and who settles what others differ on."""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from emu.desk import raters
from emu.desk.database import Database
from emu.desk.database import raters as known_raters
from emu.desk.review.plan import Pass
from emu.desk.review.study import Review
from emu.desk.review.tables import invitations


@dataclass(frozen=True)
class Desk:
    """A pass that a rater is invited to; `arbiter` if they also settle its disagreements."""

    of: Pass
    arbiter: bool


def invite(database: Database, name: str, passes: list[Pass], *, arbiter: bool) -> str:
    """The token of a new link for a rater of these passes, besides those that they were invited to before."""
    token = raters.invite(database, name)
    with database.writing() as connection:
        rater = connection.execute(select(known_raters.c.id).where(known_raters.c.name == name)).scalar_one()
        for one in passes:
            mine = (invitations.c.rater == rater) & (invitations.c["pass"] == one.name)
            connection.execute(delete(invitations).where(mine))
            connection.execute(insert(invitations).values({"rater": rater, "pass": one.name, "arbiter": arbiter}))
    return token


def desks(review: Review, connection: Connection, rater: int) -> list[Desk]:
    """The passes of a rater, in the order of the plan."""
    rows = connection.execute(select(invitations).where(invitations.c.rater == rater)).mappings()
    mine = {row["pass"]: bool(row["arbiter"]) for row in rows}
    return [Desk(one, mine[one.name]) for one in review.plan.passes if one.name in mine]
