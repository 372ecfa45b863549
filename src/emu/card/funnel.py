"""The card's account of the funnel, from the manifest's footer: what each stage removed, and by which limits."""

from typing import Any

from emu.card.blocks import Block, Cell, Section, Table, Told, count, share
from emu.curate.curated import Curated


def section(curated: Curated) -> Section:
    """Or one sentence that nothing is known."""
    if not curated.told:
        return Section("The funnel", ["Not known: the folder has no manifest of `emu curate`."])
    stages: list[dict[str, Any]] = curated.told["stages"]
    came, stays = stages[0]["came"], stages[-1]["stays"]
    failed = sum(one["failed"] for one in stages)
    rows: list[list[Cell]] = [
        [Told(one["stage"]), Told(limits(given)), *_figures(one)]
        for one, given in zip(stages, _given(curated), strict=True)
    ]
    blocks: list[Block] = [
        f"{count(came, 'picture')} came in, {stays:,} stayed ({share(stays, came)}); {failed:,} could not be used.",
        Table(["Stage", "Limits", "In", "Dropped", "Failed", "Out"], rows, number=4),
    ]
    found: list[list[Cell]] = [
        [Told(stage), Told(key), Told(words(value))]
        for stage, told in curated.told["told"].items()
        for key, value in told.items()
    ]
    if found:
        blocks += ["What stages that look at all pictures found, and what thresholds became:"]
        blocks += [Table(["Stage", "What", "Value"], found)]
    return Section("The funnel", blocks)


def limits(given: dict[str, Any]) -> str:
    """`short_side at least 512, aspect at most 2.2`, in the config's numbers."""
    sides = (("at_least", "at least"), ("at_most", "at most"))
    told = [f"{name} {word} {limit:g}" for key, word in sides for name, limit in (given.get(key) or {}).items()]
    return ", ".join(told) or "none"


def words(value: Any) -> str:
    """A value of the footer in plain words."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {words(inner)}" for key, inner in value.items()) or "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _given(curated: Curated) -> list[dict[str, Any]]:
    """The config's entry of each stage; the budget's has no limits of its own."""
    given = list(curated.document["stages"])
    stages = len(curated.told["stages"])
    return (given + [{}] * stages)[:stages]


def _figures(one: dict[str, Any]) -> list[str]:
    return [f"{one[key]:,}" for key in ("came", "dropped", "failed", "stays")]
