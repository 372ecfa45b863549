"""The guards' word on every run of a comparison: from its pictures and scores, and from the check that was kept."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emu.compare import curated
from emu.compare.drift import drift
from emu.compare.looking import LAYOUTS, Eye, embeddings, evidence
from emu.compare.pairs import Run
from emu.guards import Evidence, Finding, Thresholds, Training, of_folders
from emu.guards.finding import not_measured
from emu.guards.held_out import NAME as HELD_OUT

if TYPE_CHECKING:
    from emu.judges.embedding import Embedder


def look(
    runs: list[tuple[Path, Run]], *, training: str | None = None, features: "Embedder | None" = None
) -> list[Evidence]:
    """What there is to see of each run; a curated set that several share is read once."""
    eye = embeddings(features) if features is not None else LAYOUTS
    sets: dict[str, Training] = {}
    return [evidence(run, eye=eye, training=_training(folder, training, eye, sets)) for folder, run in runs]


def guarded(run: Run, seen: Evidence, thresholds: Thresholds = Thresholds()) -> dict[str, Any]:  # noqa: B008
    """{"drift": as `drift.drift` has it, "guards": a row for every number that is watched, "features": what saw}."""
    found = [finding for guard in of_folders(thresholds) for finding in guard(seen)]
    rows = [asdict(finding) for finding in [*found, held_out(run)]]
    return {"drift": drift(seen), "guards": rows, "features": seen.features}


def held_out(run: Run) -> Finding:
    """What the kept check found of the held-out loss: pictures alone do not tell it."""
    for check in run.quality.get("checks", []):
        for row in check.get("guards", []):
            if check["step"] == run.after_step and row["guard"] == HELD_OUT:
                return Finding.from_row(row)
    return not_measured(HELD_OUT, "the run kept no held-out losses of this step")


def _training(folder: Path, given: str | None, eye: Eye, sets: dict[str, Training]) -> Training | str:
    root, why = curated.find(folder, given)
    if root is None:
        return why
    if root not in sets:
        sets[root] = curated.read(root, curated.read_config(folder), eye=eye)
    return sets[root]
