"""`quality.json`: how a tuning went. These dataclasses are its schema; a run that was only judged has less of it.

What has a default may be absent: a file of before, or of a run that was not tuned by `QualityTuning`, says less.
"""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from emu.guards import Finding
from emu.layouts import runs
from emu.statistics import NetRate, WinRate, net_rate, win_rate
from emu.storage import files
from emu.storage.records import build, left_out, read_json, to_json
from emu.storage.shapes import Card

VERSIONED = ("emu-quality-tuning", "torch", "lightning", "diffusers")
Scores = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Check:
    """What one check found against step 0, prompt by prompt; None where there is no such judge or no held-out set."""

    step: int
    appeal: WinRate | None
    faithfulness: WinRate | None
    faithfulness_net: NetRate | None
    held_out_ratio: float | None
    """The held-out loss divided by that of step 0."""
    guards: list[Finding] = field(default_factory=list)

    @classmethod
    def against(
        cls,
        base: Scores,
        now: Scores,
        *,
        step: int,
        ties: Mapping[str, float],
        held_out_ratio: float | None,
        prompts: Sequence[str] | None = None,
        guards: Sequence[Finding] = (),
    ) -> "Check":
        """Judge `now` against step 0's `base`, file by file (file name -> criterion -> score).

        `ties` holds the judges' ties by criterion, "appeal" and "faithfulness" where there is such a judge; `prompts`
        that of each file, where some are drawn from several seeds; `guards` what they found.
        """
        sides = {
            criterion: tuple([scores[file][criterion] for file in base] for scores in (base, now)) for criterion in ties
        }
        appeal, faithful = ties.get("appeal"), ties.get("faithfulness")
        return cls(
            step=step,
            appeal=None if appeal is None else win_rate(*sides["appeal"], tie=appeal, prompts=prompts),
            faithfulness=None if faithful is None else win_rate(*sides["faithfulness"], tie=faithful, prompts=prompts),
            faithfulness_net=None
            if faithful is None
            else net_rate(*sides["faithfulness"], tie=faithful, prompts=prompts),
            held_out_ratio=held_out_ratio,
            guards=list(guards),
        )

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Check":
        """The inverse of `dataclasses.asdict`, and for the findings of earlier versions."""
        return _today(build(row, cls))

    @property
    def broken(self) -> list[Finding]:
        """The guards that say so."""
        return [finding for finding in self.guards if finding.state == "broken"]

    def __str__(self) -> str:
        parts = []
        if self.appeal:
            low, high = self.appeal.ci95
            parts.append(f"appeal {self.appeal.win:.1f} % win [{low:.0f}, {high:.0f}]")
        if self.faithfulness_net:
            parts.append(f"faithfulness {self.faithfulness_net.net:+.1f}")
        if self.held_out_ratio is not None:
            parts.append(f"held-out loss {self.held_out_ratio:.2f}x the base")
        parts += [f"broken: {finding.guard}" for finding in self.broken]
        return f"step {self.step}: {', '.join(parts) or 'drawn'}"


@dataclass(frozen=True)
class Quality:
    """The file.

    Args:
        name, model: of the run, and its class.
        best_step: the check that is kept; None where none was better than the base.
        stop_reason: None while tuning goes on.
        judges: column of `scores.jsonl` -> the card of who judged.
        headline: criterion -> the column whose verdict comes first, where that is not the criterion's own.
        versions: of Python and of the packages that the numbers come from.
    """

    name: str | None = left_out()
    model: str | None = left_out()
    best_step: int | None = None
    stop_reason: str | None = None
    checks: list[Check] = field(default_factory=list)
    judges: dict[str, Card] = field(default_factory=dict)
    headline: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


def versions() -> dict[str, str]:
    """Of what a run's numbers come from."""
    return {"python": platform.python_version()} | {name: version(name) for name in VERSIONED}


def read_quality(run: Path) -> Quality:
    """What `quality.json` says; empty where the run was neither tuned nor judged. UserError: a damaged file."""
    path = run / runs.QUALITY
    if not path.exists():
        return Quality()
    quality: Quality = read_json(path, Quality, remedy="remove it to compare the run's last step")
    return replace(quality, checks=[_today(check) for check in quality.checks])


def write_quality(run: Path, quality: Quality) -> None:
    """Into the run's folder, whole or not at all. ValueError: a number in it is not finite."""
    files.write(run / runs.QUALITY, to_json(quality))


def _today(check: Check) -> Check:
    return replace(check, guards=[finding.of_today() for finding in check.guards])
