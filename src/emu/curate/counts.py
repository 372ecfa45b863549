"""The funnel in numbers: how many came to each stage, how many left there, how many it could not use."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from emu.curate.config import Funnel, cause
from emu.curate.decide import Fates, column, read
from emu.data.survey import some
from emu.errors import UserError, printable
from emu.terminal.aligned import aligned
from emu.terminal.counted import many

MOST = 8  # causes of a stage that are named, the commonest first


@dataclass(frozen=True)
class Count:
    """One stage. `came` = `stays` + `dropped` + `failed`; `why`: how many left for which limit, or failed of what."""

    stage: str
    came: int
    dropped: int
    failed: int
    stays: int
    why: dict[str, int] = field(default_factory=dict)


def count(funnel: Funnel, fates: Fates, shards: list[Path]) -> list[Count]:
    """A line a stage, in order."""
    counts, why = [], _why(funnel, fates, shards)
    for number, step in enumerate(funnel.steps):
        here = fates.left == number
        failed = int((here & fates.failed).sum())
        one = Count(
            stage=step.stage.name,
            came=int(fates.came(number).sum()),
            dropped=int(here.sum()) - failed,
            failed=failed,
            stays=int(fates.passed(number).sum()),
            why=dict(why[number].most_common(MOST)),
        )
        assert one.came == one.stays + one.dropped + one.failed
        counts.append(one)
    total, out = len(fates.left), int(fates.stayed.sum())
    assert total == out + sum(one.dropped + one.failed for one in counts)  # every picture is accounted for
    return counts


def _why(funnel: Funnel, fates: Fates, shards: list[Path]) -> list[Counter[str]]:
    """For each step: limit, or what a failure says -> how many left for it."""
    found = [Counter[str]() for _ in funnel.steps]
    for path in shards:
        columns = read(path, ["row", "reason"]).to_pydict()
        for row, reason in zip(columns["row"], columns["reason"], strict=True):
            if reason is not None:
                found[fates.left[row]][cause(reason)] += 1
    return found


def table(counts: list[Count]) -> str:
    """The funnel for a terminal."""
    rows = [["stage", "in", "dropped", "failed", "out", "stays"]]
    for one in counts:
        share = f"{100 * one.stays / one.came:.1f} %" if one.came else "-"
        rows.append([one.stage, *(f"{n:,}" for n in (one.came, one.dropped, one.failed, one.stays)), share])
    lines = aligned(rows)
    for number in range(len(counts), 0, -1):  # from the last one, so that what is put in between moves nothing
        if why := ", ".join(f"{printable(cause)} {times:,}" for cause, times in counts[number - 1].why.items()):
            lines.insert(number + 1, f"  for {why}")
    return "\n".join([*lines, f"{many(counts[0].came, 'picture')} in, {counts[-1].stays:,} out"])


def require_some(funnel: Funnel, fates: Fates, counts: list[Count], shards: list[Path]) -> None:
    """UserError where nothing is left: at which stage, what it saw, and why the first one left there."""
    if fates.stayed.any():
        return
    number = max(n for n, one in enumerate(counts) if one.came)
    one = counts[number]
    lines = [f"stage {one.stage}: nothing is left, of {one.came:,} that came {one.failed:,} failed"]
    for name in funnel.steps[number].limited:
        values = np.asarray(column(shards, name)[fates.came(number)], dtype=float)
        values = values[~np.isnan(values)]
        if len(values):
            quantiles = ", ".join(f"{value:.4g}" for value in np.quantile(values, (0, 0.25, 0.5, 0.75, 1)))
            lines.append(f"{name} has the quartiles {quantiles}")
    first = int(np.flatnonzero(fates.left == number)[0])
    why = printable(str(fates.reason(first) or column(shards, "reason")[first]))
    left_out: list[str] = []
    if number == 0 and one.failed:
        sources, reasons = column(shards, "source"), column(shards, "reason")
        left_out = [f"{sources[row]}: {reasons[row]}" for row in np.flatnonzero((fates.left == 0) & ~fates.failed)]
    if left_out:
        lines.append(f"left out {some(left_out)}")
    do = "mend the source" if one.failed + len(left_out) == one.came else "loosen its limits"
    if number == 0 and "no caption" in why and funnel.data.captioned:
        do = "write captions (docs/sets.md says where), or take pictures without them by --uncaptioned"
    raise UserError("; ".join([*lines, f"the first one: {why}", f"{do}; the manifest has every reason"]))
