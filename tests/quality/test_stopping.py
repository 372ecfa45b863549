"""The stop rule on histories of checks."""

from dataclasses import asdict

import pytest

from emu.quality.stopping import Check, StopRule
from emu.statistics import NetRate, WinRate

RULE = StopRule(patience=2, margin=2.0, min_steps=0, max_steps=1000)


def check(step: int, win: float | None, net: tuple[float, float, float] | None = None) -> Check:
    """A check of that appeal win rate and faithfulness net with its interval."""
    return Check(
        step=step,
        appeal=None if win is None else WinRate(n=100, win=win, tie=0, lose=100 - win, ci95=(win, win)),
        faithfulness=None,
        faithfulness_net=None if net is None else NetRate(net=net[0], ci95=net[1:]),
        held_out_ratio=None,
    )


def history(*wins: float) -> list[Check]:
    return [check(100 * i, win) for i, win in enumerate(wins, start=1)]


@pytest.mark.parametrize(
    ("wins", "stops"),
    [
        ([50], False),
        ([50, 40], False),
        ([50, 40, 45], True),
        ([50, 40, 60], False),
        ([50, 50, 50], True),
        ([0, 0], True),
    ],
)
def test_patience(wins: list[float], stops: bool) -> None:
    assert (RULE.reason(history(*wins)) is not None) == stops


def test_best_is_the_first_of_the_highest() -> None:
    best = RULE.best(history(50, 80, 80, 70))
    assert best is not None
    assert best.step == 200


def test_never_above_zero_is_no_best() -> None:
    assert RULE.best(history(0, 0)) is None
    assert "has not risen above 0 %" in str(RULE.reason(history(0, 0)))


@pytest.mark.parametrize(
    ("net", "stops"), [((-5, -9, -2.1), True), ((-5, -9, -1.9), False), ((-1, -1.5, -0.5), False), ((3, 1, 5), False)]
)
def test_faithfulness_stops_only_where_its_interval_excludes_the_margin(
    net: tuple[float, float, float], stops: bool
) -> None:
    checks = [check(100, 90, net)]
    assert (RULE.reason(checks) is not None) == stops
    assert (RULE.best(checks) is None) == stops


def test_rows_come_back_as_checks() -> None:
    told = Check.against(
        {"a": {"appeal": 0.1, "faithfulness": 1.0}}, {"a": {"appeal": 0.2, "faithfulness": 1.0}},
        step=5, ties={"appeal": 0.01, "faithfulness": 0.0}, held_out_ratio=0.98,
    )  # fmt: skip
    assert Check.from_row(asdict(told)) == told
    assert str(told) == "step 5: appeal 100.0 % win [21, 100], faithfulness +0.0, held-out loss 0.98x the base"
