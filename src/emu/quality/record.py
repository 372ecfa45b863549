"""What a run folder keeps of a tuning: `quality.json`, with the versions that made it."""

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from emu import runs

VERSIONED = ("emu-quality-tuning", "torch", "lightning", "diffusers")


def record(run: Path, told: dict[str, Any]) -> None:
    """Write `told` with the run's name and the versions around it."""
    versions = {"python": platform.python_version()} | {name: version(name) for name in VERSIONED}
    runs.write_quality(run, {"name": run.resolve().name, **told, "versions": versions})
