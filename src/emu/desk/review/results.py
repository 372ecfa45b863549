"""Results: what every pass let stay, how far its raters agree, at which pace, and why pictures left.

`review.json` is the record: passes, raters by number, the guideline with its hash, and every picture with its votes,
its end and the caption that stands.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from statistics import median
from typing import Any

from sqlalchemy import Connection, select

from emu.desk.review.plan import Pass
from emu.desk.review.standing import KEEP, REJECT, Standing, standing, waiting_words
from emu.desk.review.study import Review
from emu.desk.review.tables import guidelines, look_events, looks
from emu.desk.review.telling import captions
from emu.errors import UserError
from emu.layouts.curated_folder import REVIEW
from emu.layouts.review_json import Cast, Guideline, PassOutcome, RaterOutcome, Reviewed, ReviewOutcome, Version
from emu.statistics.agreement import krippendorff_alpha
from emu.storage import files
from emu.storage.records import to_json
from emu.terminal.counted import many

Rows = Sequence[Any]  # of looks, or of look_events


def results(review: Review) -> ReviewOutcome:
    """What the answers come to. UserError where nobody has answered yet."""
    timed = select(look_events.c.at, look_events.c.milliseconds, looks.c["pass"], looks.c.rater)
    with review.database.reading() as connection:
        stands = standing(review, connection)
        rows = connection.execute(select(looks).where(looks.c.choice.is_not(None))).all()
        if not rows:
            raise UserError("no answers yet; open the page with emu review FOLDER")
        events = connection.execute(timed.join(looks, looks.c.id == look_events.c.look)).all()
        texts = captions(review, connection)
        guideline = _guideline(connection)
    passes = [(one, _in(rows, one), _in(events, one)) for one in review.plan.passes]
    return ReviewOutcome(
        passes=[_pass(stands, *each) for each in passes],
        raters=[row for each in passes for row in _raters(*each)],
        guideline=guideline,
        pictures=[_picture(stands, key, *texts[key]) for key in review.pictures],
    )


def write_results(review: Review) -> str:
    """Write `review.json` into the folder; return the table."""
    outcome = results(review)
    files.write(review.folder / REVIEW, to_json(outcome), alone=True)
    return "\n".join(table(outcome))


def table(outcome: ReviewOutcome) -> Iterator[str]:
    """A line a pass and, indented, why pictures left and how each rater went."""
    for one in outcome.passes:
        alpha = "-" if one.alpha is None else f"{one.alpha:.2f}"
        looks = f"{many(one.votes or 0, 'look')} of {many(one.raters or 0, 'rater')}"
        yield (
            f"{one.name}: {one.entered:,} came, {one.kept:,} stay, {one.rejected:,} left, {one.open:,} open, "
            f"{one.disputed:,} disputed; {looks}, alpha {alpha}"
        )
        if missing := waiting_words(one.waiting, one.page):
            yield f"  {missing}"
        if one.reasons:
            yield "  why: " + ", ".join(f"{reason} {number:,}" for reason, number in one.reasons.items())
        for rater in (rater for rater in outcome.raters if rater["pass"] == one.name):
            kept = f"{100 * rater['kept'] / rater['looked']:.0f} % kept"
            yield f"  rater {rater['rater']}: {rater['looked']:,} looked at, {kept}, {rater['seconds']:.1f} s a picture"


def waits(outcome: ReviewOutcome) -> str:
    """What the passes wait for: `generalists: 9 wait for 1 look; captions: ...`."""
    words = [(one.name, waiting_words(one.waiting, one.page)) for one in outcome.passes]
    return "; ".join(f"{name}: {missing}" for name, missing in words if missing)


def _in(rows: Rows, one: Pass) -> Rows:
    return [row for row in rows if row._mapping["pass"] == one.name]


def _pass(stands: Standing, one: Pass, rows: Rows, events: Rows) -> PassOutcome:
    ends = Counter(stands.decided(one, key) for key in stands.entering(one.name))
    votes = [row for row in rows if not row.ruling]
    reasons = Counter(row.reason for row in rows if row.choice == REJECT and row.reason)
    times = sorted(row.at for row in events)
    return PassOutcome(
        name=one.name,
        page=one.page,
        rule=one.rule,
        entered=ends.total(),
        pictures=len({row.picture for row in rows}),
        kept=ends[True],
        rejected=ends[False],
        open=ends[None],
        waiting=dict(sorted(stands.waiting(one).items())),
        disputed=sum(1 for _ in stands.disputed(one)),
        votes=len(votes),
        rulings=len(rows) - len(votes),
        raters=len({row.rater for row in rows}),
        alpha=_alpha(votes),
        began=_time(times[0]) if times else None,
        ended=_time(times[-1]) if times else None,
        reasons=dict(reasons.most_common()),
    )


def _alpha(votes: Rows) -> float | None:
    said = defaultdict(list)
    for row in votes:
        said[row.picture].append(REJECT if row.choice == REJECT else KEEP)  # captions differ, and keep alike
    return krippendorff_alpha(list(said.values()))


def _raters(one: Pass, rows: Rows, events: Rows) -> Iterator[RaterOutcome]:
    for rater in sorted({row.rater for row in rows}):
        mine = [row for row in rows if row.rater == rater]
        kept = sum(row.choice != REJECT for row in mine)
        seconds = median(row.milliseconds for row in events if row.rater == rater) / 1000
        yield {"rater": rater, "pass": one.name, "looked": len(mine), "kept": kept, "seconds": seconds}


def _picture(stands: Standing, key: str, text: str, source: str) -> Reviewed:
    passes = stands.review.plan.passes
    stopped = next((one for one in passes if not stands.decided(one, key)), None)
    ended = stopped and stands.decided(stopped, key)
    return Reviewed(
        file=stands.review.pictures[key].file,
        votes={one.name: Cast(**vars(cast)) for one in passes if (cast := stands.votes.get(one.name, {}).get(key))},
        kept=stopped is None,
        left=stopped.name if stopped and ended is False else None,
        waits=stopped.name if stopped and ended is None else None,
        text=text,
        caption_source=source,
    )


def _guideline(connection: Connection) -> Guideline:
    rows = connection.execute(select(guidelines).order_by(guidelines.c.id)).all()
    return Guideline(rows[-1].sha256, rows[-1].text, [Version(row.sha256, _time(row.at)) for row in rows])


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
