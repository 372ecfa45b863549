"""Opens a review from what the command line says: a folder, a plan, a database, where raters come in."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import func, select

from emu.desk.database import Database, raters
from emu.desk.doorway import open_in_browser
from emu.desk.review.app import review_app
from emu.desk.review.invitations import desks, invite
from emu.desk.review.pictures import read_pictures
from emu.desk.review.plan import Plan
from emu.desk.review.standing import standing
from emu.desk.review.study import FILE, Review, open_review
from emu.desk.review.tables import looks
from emu.desk.review.waiting import words
from emu.desk.serving import Address
from emu.errors import UserError, printable

__all__ = ["door", "opened", "progress", "review_app"]

OWNER = "me"


@contextmanager
def opened(folder: Path, plan: Plan, *, url: str | None, begun: bool) -> Iterator[Review]:
    """The review of a folder.

    Args:
        url: the database's; None for a file in the folder.
        begun: only if there is one already; UserError otherwise.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give one that emu curate made")
    file = folder.resolve() / FILE
    if url is None and begun and not file.exists():
        raise UserError(f"{folder}: no review yet; open the page first with emu review {folder}")
    pictures = read_pictures(folder)
    database = Database(url) if url else Database.in_file(file)
    try:
        yield open_review(database, folder, pictures, plan)
    finally:
        database.close()


def door(review: Review, where: Address, *, browser: bool) -> str:
    """How raters come in. On this machine alone there is one, who does it all, with a new link at every start."""
    if where.loopback:
        link = where.local(invite(review.database, OWNER, review.plan.passes, arbiter=True))
        if browser:
            open_in_browser(link, review.folder)
        return f"review at {link}"
    warning = "; answers and links travel unencrypted: put a TLS proxy in front and name it with --url"
    return f"raters come to {where.url} by their links{'' if where.secure else warning}"


def progress(review: Review) -> list[str]:
    """`Ada: 580 of generalists`, then `generalists: 1,200 of 20,000 decided, 300 stay`."""
    counted = select(looks.c.rater, looks.c["pass"], func.count()).where(looks.c.choice.is_not(None))
    with review.database.reading() as connection:
        rows = connection.execute(counted.group_by(looks.c.rater, looks.c["pass"]))
        done = {(rater, name): number for rater, name, number in rows}
        known = connection.execute(select(raters).order_by(raters.c.id)).all()
        invited = {rater.id: desks(review, connection, rater.id) for rater in known}
        stands = standing(review, connection)
    lines = []
    for rater in known:
        told = [
            f"{done.get((rater.id, one.of.name), 0):,} of {one.of.name}{' (arbiter)' if one.arbiter else ''}"
            for one in invited[rater.id]
        ]
        closed = " (link closed)" if rater.revoked else ""
        lines.append(f"{printable(rater.name)}: {', '.join(told) or 'invited to no pass'}{closed}")
    for one in review.plan.passes:
        ends = [stands.decided(one, key) for key in stands.entering(one.name)]
        decided = len(ends) - ends.count(None)
        waits = words(stands.waiting(one), one.page)
        lines.append(
            f"{one.name}: {decided:,} of {len(ends):,} decided, {ends.count(True):,} stay{'; ' if waits else ''}{waits}"
        )
    return lines
