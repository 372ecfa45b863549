"""The guards' word on every run of a comparison: from its pictures and scores, and from the check that was kept."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emu import runs
from emu.compare import curated
from emu.compare.drift import drift
from emu.compare.looking import evidence
from emu.compare.pairs import Run
from emu.guards import Evidence, Finding, Training, not_measured, of_folders
from emu.guards.held_out import NAME as HELD_OUT

if TYPE_CHECKING:
    from emu.judges import Embedder


def look(
    runs: list[tuple[Path, Run]], *, training: str | None = None, embedder: "Embedder | None" = None
) -> list[Evidence]:
    """What there is to see of each run; a curated set that several share is read once."""
    sets: dict[str, Training] = {}
    return [
        evidence(run, embedder=embedder, training=_training(folder, training, embedder, sets)) for folder, run in runs
    ]


def guarded(run: Run, seen: Evidence) -> dict[str, Any]:
    """{"drift": as `drift.drift` has it, "guards": a row for every number that is watched, "features": what saw}."""
    found = [finding for guard in of_folders() for finding in guard(seen)]
    known = {finding.guard for finding in found}
    kept = [finding for finding in of_the_check(run) if finding.guard not in known]
    if not any(finding.guard == HELD_OUT for finding in kept):
        kept.append(not_measured(HELD_OUT, "the run kept no held-out losses of this step"))
    rows = [asdict(finding) for finding in [*found, *kept]]
    return {"drift": drift(seen), "guards": rows, "features": seen.features}


def of_the_check(run: Run) -> list[Finding]:
    """What the kept check found, by the guards of the run's config: held-out loss, and those of a user's own."""
    checks = [check for check in run.quality.get("checks", []) if check["step"] == run.after_step]
    return [Finding.from_row(row) for check in checks for row in check.get("guards", [])]


def _training(
    folder: Path, given: str | None, embedder: "Embedder | None", sets: dict[str, Training]
) -> Training | str:
    root, why = curated.find(folder, given)
    if root is None:
        return why
    if root not in sets:
        sets[root] = curated.read(root, runs.read_config(folder) or {}, embedder=embedder)
    return sets[root]
