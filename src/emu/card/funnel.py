"""The card's account of the funnel, from the manifest's footer: what each stage removed, and by which limits."""

from emu.card.blocks import Block, Cell, Quoted, Section, Table, share
from emu.curate.manifest import Footer
from emu.terminal.counted import many


def section(footer: Footer | None) -> Section:
    """A table of the stages, and one of what they found; a sentence where there is no manifest."""
    if footer is None or not footer.stages:
        return Section("The funnel", ["Not known: the folder has no manifest of `emu curate`."])
    stages, configs = footer.stages, footer.funnel.stages or []
    came, stays, failed = stages[0].came, stages[-1].stays, sum(one.failed for one in stages)
    limits = [", ".join(one.limits()) or "none" for one in configs] + ["none"]  # the budget's entry has no limits
    rows: list[list[Cell]] = [
        [Quoted(one.stage), Quoted(limit), *(f"{n:,}" for n in (one.came, one.dropped, one.failed, one.stays))]
        for one, limit in zip(stages, limits, strict=False)
    ]
    blocks: list[Block] = [
        f"{many(came, 'picture')} came in, {stays:,} stayed ({share(stays, came)}); {failed:,} could not be used.",
        Table(["Stage", "Limits", "In", "Dropped", "Failed", "Out"], rows, number=4),
    ]
    notes: list[list[Cell]] = [
        [Quoted(stage), Quoted(key), Quoted(words)] for stage in footer.notes for key, words in footer.lines(stage)
    ]
    if notes:
        blocks += ["What stages that look at all pictures found, and what thresholds became:"]
        blocks += [Table(["Stage", "What", "Value"], notes)]
    return Section("The funnel", blocks)
