"""The card's account of the people who looked: passes, raters as numbers, agreement, reasons, the guideline."""

from emu.card.blocks import Block, Cell, Quoted, Section, Table, Verbatim, count, share
from emu.shapes import Guideline, PassCount, RaterCount, Review

UNKNOWN = "not known"


def section(review: Review | None) -> Section:
    """From review.json; one sentence where there is none."""
    if review is None:
        return Section("The people", ["Not known whether people looked: the folder has no review.json."])
    passes, raters = review.get("passes") or [], review.get("raters") or []
    blocks: list[Block] = [_sentence(review)]
    if passes:
        heads = ["Pass", "Rule", "Began", "Ended", "Shown", "Kept", "Rejected", "Open", "Votes", "Raters", "Alpha"]
        blocks += [Table(heads, [_pass(one) for one in passes], number=7)]
        blocks += [
            "Alpha is Krippendorff's: 1 is agreement, 0 is what chance gives; a dash where nobody judged the same "
            "pictures."
        ]
    reasons: list[list[Cell]] = [
        [Quoted(str(one.get("name"))), Quoted(reason), f"{number:,}"]
        for one in passes
        for reason, number in sorted((one.get("reasons") or {}).items(), key=lambda pair: -pair[1])
    ]
    if reasons:
        blocks += ["Reasons that raters gave:", Table(["Pass", "Reason", "Times"], reasons, number=1)]
    if raters:
        heads = ["Rater", "Pass", "Looked", "Kept", "Share kept", "Seconds a picture (median)"]
        blocks += [Table(heads, [_rater(one) for one in raters], number=4)]
    return Section("The people", [*blocks, _guideline(review.get("guideline"))])


def _sentence(review: Review) -> str:
    raters = {one.get("rater") for one in review.get("raters") or []}
    votes = [(one, (one.get("votes") or {}).values()) for one in review["pictures"]]
    looked = [one for one, cast in votes if any(each["keep"] + each["reject"] for each in cast)]
    kept = sum(bool(one.get("kept")) for one in looked)
    left = sum(not one.get("kept") and one.get("left") is not None for one in looked)
    waiting = len(looked) - kept - left
    return (
        f"{count(len(raters), 'rater')} looked at {count(len(looked), 'picture')}: {kept:,} were kept "
        f"({share(kept, len(looked))}), {left:,} rejected{f', {waiting:,} are not decided yet' if waiting else ''}. "
        "Raters are numbers here."
    )


def _pass(one: PassCount) -> list[Cell]:
    alpha = one.get("alpha")
    figures = (one.get(key) for key in ("pictures", "kept", "rejected", "open", "votes", "raters"))
    return [
        Quoted(str(one.get("name"))),
        *(Quoted(str(one.get(key) or UNKNOWN)) for key in ("rule", "began", "ended")),
        *map(_figure, figures),
        "-" if alpha is None else f"{alpha:.2f}",
    ]


def _rater(one: RaterCount) -> list[Cell]:
    looked, kept, seconds = one.get("looked"), one.get("kept"), one.get("seconds")
    part = UNKNOWN if kept is None or looked is None else share(kept, looked)
    pace = UNKNOWN if seconds is None else f"{seconds:.1f}"
    return [Quoted(str(one.get("rater"))), Quoted(str(one.get("pass"))), _figure(looked), _figure(kept), part, pace]


def _figure(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else UNKNOWN


def _guideline(guideline: Guideline | None) -> Block:
    text = guideline.get("text") if guideline else None
    return Verbatim("The guideline that raters had", text) if text else "The guideline that raters had is not known."
