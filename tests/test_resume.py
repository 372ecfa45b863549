"""Whether a run has ended is what the rule of the command says of its checks, not what an earlier command said."""

from pathlib import Path

import pytest

from emu.layouts import runs
from emu.layouts.quality_json import Quality, write_quality
from emu.quality.stopping import Check, StopRule
from emu.statistics import win_rate
from emu.training.resume import finished

RULE = {"patience": 2, "margin": 2.0, "min_steps": 0, "max_steps": 40}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Appeal is best at step 10 and has not risen at 20 and 30."""
    checks = [
        Check(step, win_rate([0.0] * 4, [1.0] * wins + [0.0] * (4 - wins), tie=0.1), None, None, None)
        for step, wins in ((10, 3), (20, 2), (30, 2))
    ]
    write_quality(tmp_path, Quality(stop_reason="long ago", checks=checks))
    return tmp_path


@pytest.mark.parametrize(
    ("changes", "ended"),
    [
        ({}, "step 30: the appeal win rate has not risen"),
        ({"patience": 3}, None),
        ({"min_steps": 35}, None),
        ({"patience": 3, "max_steps": 30}, "step 30: this is the last step allowed"),
    ],
    ids=["as it was", "more patience", "not before", "fewer steps"],
)
def test_the_rule_decides(run: Path, changes: dict[str, int], ended: str | None) -> None:
    told = finished(run, runs.checkpoint(run, 30), StopRule(**{**RULE, **changes}))  # type: ignore[arg-type]
    assert (told is None) == (ended is None)
    assert ended is None or f"stopped already at {ended}" in str(told)


def test_a_run_whose_last_state_is_not_there_goes_on(run: Path) -> None:
    for checkpoint in (None, runs.checkpoint(run, 20)):
        assert finished(run, checkpoint, StopRule(**RULE)) is None  # type: ignore[arg-type]
