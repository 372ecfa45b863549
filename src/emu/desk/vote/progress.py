"""How far a study is: a line for every rater, and one for every question."""

from sqlalchemy import func, select

from emu.desk.database import cards, raters
from emu.desk.vote.questions import MATCH
from emu.desk.vote.study import Study
from emu.errors import printable


def progress(study: Study) -> list[str]:
    """`Ada: 58 appeal, 12 faithfulness`, then `appeal: 120 of 300 votes`."""
    counted = (
        select(cards.c.rater, cards.c.question, func.count().label("votes"))
        .where(cards.c.kind == MATCH, cards.c.choice.is_not(None))
        .group_by(cards.c.rater, cards.c.question)
    )
    with study.database.reading() as connection:
        votes = {(row.rater, row.question): row.votes for row in connection.execute(counted)}
        known = connection.execute(select(raters).order_by(raters.c.id)).all()
    lines = [
        f"{printable(rater.name)}: "
        + ", ".join(f"{votes.get((rater.id, question), 0)} {question}" for question in study.questions)
        + (" (link closed)" if rater.revoked else "")
        for rater in known
    ]
    for question in study.questions:
        cast = sum(count for (_, asked), count in votes.items() if asked == question)
        lines.append(f"{question}: {cast} of {len(study.matches) * study.options.wanted(question)} votes")
    return lines
