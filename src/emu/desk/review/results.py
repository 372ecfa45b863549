"""Results: what every pass let stay, how far its raters agree, at which pace, and why pictures left.

`review.json` is the record: passes, raters by number, the guideline with its hash, and every picture with its votes,
its end and the caption that stands.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import median
from typing import Any

from sqlalchemy import Connection, select

from emu import files
from emu.desk.review.plan import RULES, Pass
from emu.desk.review.standing import KEEP, REJECT, Standing, numbers, standing
from emu.desk.review.study import Review
from emu.desk.review.tables import guidelines, look_events, looks
from emu.desk.review.telling import captions
from emu.desk.review.waiting import words
from emu.errors import UserError
from emu.statistics.agreement import krippendorff_alpha

NAME = "review.json"


def results(review: Review) -> dict[str, Any]:
    """The record as JSON has it (docs/review.md). UserError where nobody has answered yet."""
    timed = select(look_events.c.at, look_events.c.milliseconds, looks.c["pass"], looks.c.rater)
    with review.database.reading() as connection:
        stands = standing(review, connection)
        rows = list(connection.execute(select(looks).where(looks.c.choice.is_not(None))))
        if not rows:
            raise UserError("no answers yet; open the page with emu review FOLDER")
        events = list(connection.execute(timed.join(looks, looks.c.id == look_events.c.look)))
        texts = captions(review, connection)
        guideline, known = _guideline(connection), numbers(connection)
    passes = [(one, _in(rows, one), _in(events, one)) for one in review.plan.passes]
    return {
        "passes": [_pass(stands, *each) for each in passes],
        "raters": [told for each in passes for told in _raters(*each, known)],
        "guideline": guideline,
        "pictures": [_picture(stands, key, texts[key]) for key in review.pictures],
    }


def write_results(review: Review) -> str:
    """Write `review.json` into the folder; return the table."""
    told = results(review)
    files.write_json(review.folder / NAME, told, indent=1, alone=True)
    return table(told)


def table(told: dict[str, Any]) -> str:
    """A line a pass and, indented, why pictures left and how each rater went."""
    lines = []
    for one in told["passes"]:
        alpha = "-" if one["alpha"] is None else f"{one['alpha']:.2f}"
        lines.append(
            f"{one['name']}: {one['entered']:,} came, {one['kept']:,} stay, {one['rejected']:,} left, {one['open']:,} "
            f"open, {one['disputed']:,} disputed; {one['votes']:,} looks of {one['raters']} raters, alpha {alpha}"
        )
        if waits := words(one["waiting"], one["page"]):
            lines.append(f"  {waits}")
        if one["reasons"]:
            lines.append("  why: " + ", ".join(f"{reason} {number:,}" for reason, number in one["reasons"].items()))
        for rater in (rater for rater in told["raters"] if rater["pass"] == one["name"]):
            share = 100 * rater["kept"] / rater["looked"]
            told_of = f"{rater['looked']:,} looked at, {share:.0f} % kept, {rater['seconds']:.1f} s a picture"
            lines.append(f"  rater {rater['rater']}: {told_of}")
    return "\n".join(lines)


def _in(rows: Sequence[Any], one: Pass) -> list[Any]:
    return [row for row in rows if row._mapping["pass"] == one.name]


def _pass(stands: Standing, one: Pass, rows: list[Any], events: list[Any]) -> dict[str, Any]:
    entering = stands.entering(one.name)
    ends = Counter(stands.decided(one, key) for key in entering)
    votes = [row for row in rows if not row.ruling]
    said = defaultdict(list)
    for row in votes:
        said[row.picture].append(REJECT if row.choice == REJECT else KEEP)  # captions differ, and keep alike
    reasons = Counter(row.reason for row in rows if row.choice == REJECT and row.reason)
    times = [row.at for row in events]
    return {
        "name": one.name,
        "page": one.page,
        "rule": RULES[one.keep],
        "entered": len(entering),
        "pictures": len({row.picture for row in rows}),
        "kept": ends[True],
        "rejected": ends[False],
        "open": ends[None],
        "waiting": dict(sorted(stands.waiting(one).items())),
        "disputed": sum(1 for _ in stands.disputed(one)),
        "votes": len(votes),
        "rulings": len(rows) - len(votes),
        "raters": len({row.rater for row in rows}),
        "alpha": krippendorff_alpha(list(said.values())),
        "began": _time(min(times)) if times else None,
        "ended": _time(max(times)) if times else None,
        "reasons": dict(reasons.most_common()),
    }


def _raters(one: Pass, rows: list[Any], events: list[Any], known: dict[int, int]) -> list[dict[str, Any]]:
    found = []
    for rater in sorted({row.rater for row in rows}):
        mine = [row for row in rows if row.rater == rater]
        seconds = median(row.milliseconds for row in events if row.rater == rater) / 1000
        kept = sum(row.choice != REJECT for row in mine)
        told = {"rater": known[rater], "pass": one.name, "looked": len(mine), "kept": kept, "seconds": seconds}
        found.append(told)
    return found


def _picture(stands: Standing, key: str, caption: tuple[str, str]) -> dict[str, Any]:
    review, votes = stands.review, {}
    for one in review.plan.passes:
        cast = stands.of(one, key)
        if cast.keep or cast.reject or cast.ruling is not None:
            ruled = {} if cast.ruling is None else {"ruling": KEEP if cast.ruling else REJECT}
            votes[one.name] = {"keep": cast.keep, "reject": cast.reject, **ruled}
    stopped = next((one for one in review.plan.passes if not stands.decided(one, key)), None)
    return {
        "file": review.pictures[key].file,
        "votes": votes,
        "kept": stopped is None,
        "left": stopped.name if stopped and stands.decided(stopped, key) is False else None,
        "waits": stopped.name if stopped and stands.decided(stopped, key) is None else None,
        "text": caption[0],
        "caption_source": caption[1],
    }


def _guideline(connection: Connection) -> dict[str, Any]:
    rows = list(connection.execute(select(guidelines).order_by(guidelines.c.id)))
    since = [{"sha256": row.sha256, "since": _time(row.at)} for row in rows]
    return {"sha256": rows[-1].sha256, "text": rows[-1].text, "versions": since}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
