"""The funnel in numbers: how many came to each stage, how many left there, how many it could not use."""

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emu.aligned import aligned
from emu.curate.config import Funnel, cause
from emu.curate.decide import Fates, read
from emu.errors import UserError, printable

MOST = 8  # causes of a stage that are told, the commonest first


@dataclass(frozen=True)
class Count:
    """One stage. `came` = `stays` + `dropped` + `failed`; `why`: how many left for which limit, or failed of what."""

    stage: str
    came: int
    dropped: int
    failed: int
    stays: int
    why: dict[str, int]


def count(funnel: Funnel, fates: Fates, shards: list[Path]) -> list[Count]:
    """A line a stage, in order."""
    counts, why = [], _why(funnel, fates, shards)
    for number, step in enumerate(funnel.steps):
        here = fates.left == number
        failed = int((here & fates.failed).sum())
        told = Count(
            stage=step.stage.name,
            came=int(fates.came(number).sum()),
            dropped=int(here.sum()) - failed,
            failed=failed,
            stays=int(fates.passed(number).sum()),
            why=dict(why[number].most_common(MOST)),
        )
        assert told.came == told.stays + told.dropped + told.failed
        counts.append(told)
    total, out = len(fates.left), int(fates.stayed.sum())
    assert total == out + sum(one.dropped + one.failed for one in counts)  # every picture is accounted for
    return counts


def _why(funnel: Funnel, fates: Fates, shards: list[Path]) -> list[Counter[str]]:
    """For each step: limit, or what a failure says -> how many left for it."""
    found = [Counter[str]() for _ in funnel.steps]
    for path in shards:
        told = read(path, ["row", "reason"]).to_pydict()
        for row, reason in zip(told["row"], told["reason"], strict=True):
            if reason is not None:
                found[fates.left[row]][cause(reason)] += 1
    return found


def table(counts: list[dict[str, Any]]) -> str:
    """The funnel for a terminal."""
    rows = [["stage", "in", "dropped", "failed", "out", "stays"]]
    for one in counts:
        share = f"{100 * one['stays'] / one['came']:.1f} %" if one["came"] else "-"
        figures = [f"{one[key]:,}" for key in ("came", "dropped", "failed", "stays")]
        rows.append([one["stage"], *figures, share])
    lines = aligned(rows)
    for number in range(len(counts), 0, -1):  # from the last one, so that what is put in between moves nothing
        if told := ", ".join(f"{printable(why)} {many:,}" for why, many in counts[number - 1]["why"].items()):
            lines.insert(number + 1, f"  for {told}")
    first, last = counts[0]["came"], counts[-1]["stays"]
    return "\n".join([*lines, f"{first:,} pictures in, {last:,} out"])


def as_rows(counts: list[Count]) -> list[dict[str, Any]]:
    """For the manifest's footer."""
    return [asdict(one) for one in counts]


def require_some(funnel: Funnel, fates: Fates, counts: list[Count], read: Any) -> None:
    """UserError where nothing is left: at which stage, what it saw, and why the first one left there.

    `read` gives a column of the score table.
    """
    if fates.stayed.any():
        return
    number = max(n for n, one in enumerate(counts) if one.came)
    step, told = funnel.steps[number], counts[number]
    said = f"stage {told.stage}: nothing is left, of {told.came:,} that came {told.failed:,} failed"
    seen = []
    for name in (*step.at_least, *step.at_most):
        values = np.asarray(read(name)[fates.came(number)], dtype=float)
        values = values[~np.isnan(values)]
        if len(values):
            quantiles = ", ".join(f"{value:.4g}" for value in np.quantile(values, (0, 0.25, 0.5, 0.75, 1)))
            seen.append(f"{name} has the quartiles {quantiles}")
    first = int(np.flatnonzero(fates.left == number)[0])
    why = printable(str(fates.reason(first) or read("reason")[first]))
    do = "mend the source" if told.failed == told.came else "loosen its limits"
    raise UserError("; ".join([said, *seen, f"the first one: {why}", f"{do}; the manifest has every reason"]))
