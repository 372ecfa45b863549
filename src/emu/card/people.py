"""The card's account of the people who looked: passes, raters as numbers, agreement, reasons, the guideline."""

from typing import Any

from emu.card.blocks import Block, Cell, Section, Table, Told, Verbatim, count, share


def section(review: dict[str, Any]) -> Section:
    """From review.json; one sentence where there is none."""
    if not review:
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
        [Told(str(one.get("name"))), Told(str(reason)), f"{number:,}"]
        for one in passes
        for reason, number in sorted((one.get("reasons") or {}).items(), key=lambda pair: -pair[1])
    ]
    if reasons:
        blocks += ["Reasons that raters gave:", Table(["Pass", "Reason", "Times"], reasons, number=1)]
    if raters:
        heads = ["Rater", "Pass", "Looked", "Kept", "Share kept", "Seconds a picture (median)"]
        blocks += [Table(heads, [_rater(one) for one in raters], number=4)]
    return Section("The people", [*blocks, *_guideline(review.get("guideline") or {})])


def _sentence(review: dict[str, Any]) -> str:
    raters = {one.get("rater") for one in review.get("raters") or []}
    looked = [one for one in review["pictures"] if any(sum(votes.values()) for votes in _votes(one))]
    kept = sum(bool(one.get("kept")) for one in looked)
    left = sum(not one.get("kept") and one.get("left") is not None for one in looked)
    waiting = len(looked) - kept - left
    return (
        f"{count(len(raters), 'rater')} looked at {count(len(looked), 'picture')}: {kept:,} were kept "
        f"({share(kept, len(looked))}), {left:,} rejected{f', {waiting:,} are not decided yet' if waiting else ''}. "
        "Raters are numbers here."
    )


def _votes(picture: dict[str, Any]) -> list[dict[str, int]]:
    return list((picture.get("votes") or {}).values())


def _pass(one: dict[str, Any]) -> list[Cell]:
    alpha = one.get("alpha")
    return [
        Told(str(one.get("name"))),
        Told(str(one.get("rule") or "not told")),
        Told(str(one.get("began") or "not told")),
        Told(str(one.get("ended") or "not told")),
        *(_figure(one.get(key)) for key in ("pictures", "kept", "rejected", "open", "votes", "raters")),
        "-" if alpha is None else f"{alpha:.2f}",
    ]


def _rater(one: dict[str, Any]) -> list[Cell]:
    looked, kept, seconds = one.get("looked"), one.get("kept"), one.get("seconds")
    part = share(kept, looked) if isinstance(kept, int) and isinstance(looked, int) else "not told"
    pace = "not told" if seconds is None else f"{seconds:.1f}"
    return [Told(str(one.get("rater"))), Told(str(one.get("pass"))), _figure(looked), _figure(kept), part, pace]


def _figure(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int | float) else "not told"


def _guideline(guideline: dict[str, Any]) -> list[Block]:
    if not guideline.get("text"):
        return ["The guideline that raters had is not known."]
    return [Verbatim("The guideline that raters had", str(guideline["text"]))]
