"""What a run folder keeps of a tuning: `quality.json`, with the versions that made it."""

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

from emu import runs
from emu.quality.evidence import Cards
from emu.quality.stopping import Check

VERSIONED = ("emu-quality-tuning", "torch", "lightning", "diffusers")


def versions() -> dict[str, str]:
    """Of what a run's numbers come from."""
    return {"python": platform.python_version()} | {name: version(name) for name in VERSIONED}


@dataclass(frozen=True)
class Quality:
    """`quality.json`: how a tuning went, check by check, and why it stopped (None while it goes on)."""

    name: str
    model: str
    best_step: int | None
    stop_reason: str | None
    checks: Sequence[Check]
    judges: Cards
    versions: dict[str, str] = field(default_factory=versions)

    def write(self, run: Path) -> None:
        """Into the run's folder, whole or not at all."""
        runs.write_quality(run, asdict(self))
