"""The card's account of the people who looked: passes, raters as numbers, agreement, reasons, the guideline."""

from emu.card.blocks import Block, Cell, Quoted, Section, Table, Verbatim, share
from emu.layouts.review_json import PassOutcome, RaterOutcome, ReviewOutcome
from emu.terminal.counted import many

UNKNOWN = "not known"


def section(review: ReviewOutcome | None) -> Section:
    """From review.json; one sentence where there is none."""
    if review is None:
        return Section("The people", ["Not known whether people looked: the folder has no review.json."])
    passes, raters = review.passes, review.raters
    blocks: list[Block] = [_sentence(review)]
    if passes:
        heads = ["Pass", "Rule", "Began", "Ended", "Shown", "Kept", "Rejected", "Open", "Votes", "Raters", "Alpha"]
        blocks += [Table(heads, [_pass(one) for one in passes], number=7)]
        blocks += [
            "Alpha is Krippendorff's: 1 is agreement, 0 is what chance gives; a dash where nobody judged the same "
            "pictures."
        ]
    reasons: list[list[Cell]] = [
        [Quoted(str(one.name)), Quoted(reason), f"{number:,}"]
        for one in passes
        for reason, number in sorted(one.reasons.items(), key=lambda pair: -pair[1])
    ]
    if reasons:
        blocks += ["Reasons that raters gave:", Table(["Pass", "Reason", "Times"], reasons, number=1)]
    if raters:
        heads = ["Rater", "Pass", "Looked", "Kept", "Share kept", "Seconds a picture (median)"]
        blocks += [Table(heads, [_rater(one) for one in raters], number=4)]
    return Section("The people", [*blocks, _guideline(review.guideline.text)])


def _sentence(review: ReviewOutcome) -> str:
    raters = {one["rater"] for one in review.raters}
    looked = [one for one in review.pictures if any(cast.keep + cast.reject for cast in one.votes.values())]
    kept = sum(one.kept for one in looked)
    left = sum(not one.kept and one.left is not None for one in looked)
    waiting = len(looked) - kept - left
    return (
        f"{many(len(raters), 'rater')} looked at {many(len(looked), 'picture')}: {kept:,} were kept "
        f"({share(kept, len(looked))}), {left:,} rejected{f', {waiting:,} are not decided yet' if waiting else ''}. "
        "Raters are numbers here."
    )


def _pass(one: PassOutcome) -> list[Cell]:
    return [
        *(Quoted(text or UNKNOWN) for text in (one.name, one.rule, one.began, one.ended)),
        *map(_figure, (one.pictures, one.kept, one.rejected, one.open, one.votes, one.raters)),
        "-" if one.alpha is None else f"{one.alpha:.2f}",
    ]


def _rater(one: RaterOutcome) -> list[Cell]:
    numbers = [_figure(one["looked"]), _figure(one["kept"]), share(one["kept"], one["looked"])]
    return [Quoted(str(one["rater"])), Quoted(one["pass"]), *numbers, f"{one['seconds']:.1f}"]


def _figure(value: int | None) -> str:
    return UNKNOWN if value is None else f"{value:,}"


def _guideline(text: str | None) -> Block:
    return Verbatim("The guideline that raters had", text) if text else "The guideline that raters had is not known."
