"""The sentence on top: it tells of judges that differ, and of guards that nobody could decide."""

import pytest

from emu.compare.headline import headline
from emu.compare.verdict import Agreement, CriterionVerdict, Verdict
from emu.guards import Finding
from emu.guards.finding import State
from emu.statistics.intervals import Interval


def run(
    name: str,
    *,
    agree: bool | None = None,
    guard: State = "held",
    prompts: int = 240,
    net_ci95: Interval = (30.0, 50.0),
) -> Verdict:
    """60 % won and 20 % lost."""
    rates = {"win": 60.0, "tie": 20.0, "lose": 20.0, "ci95": (54.0, 66.0), "net": 40.0, "net_ci95": net_ci95}
    appeal = CriterionVerdict(**rates, judge="eye", p=0.001, opinions=[], agreement=Agreement(agree, "", []))
    return Verdict(
        name=name, before="step 0", after="step 20", after_step=20, prompts=prompts, pairs=prompts, appeal=appeal,
        guards=[Finding("generality", "", guard)],
    )  # fmt: skip


@pytest.mark.parametrize(("agree", "told"), [(False, True), (True, False), (None, False)])
def test_judges_that_do_not_agree_are_told(agree: bool | None, told: bool) -> None:
    assert ("judges of different families do not agree on appeal" in headline([run("a", agree=agree)])) == told


def test_it_names_the_runs_in_which_judges_differ() -> None:
    said = headline([run("a", agree=True), run("b", agree=False)])
    assert "do not agree on appeal with b;" in said


def test_prompts_are_told_once_where_runs_share_their_number() -> None:
    assert headline([run("a", agree=None), run("b", agree=None)]).count("240") == 1
    assert "(60 % of 9 prompts won" in headline([run("a", agree=None), run("b", agree=None, prompts=9)])


def test_an_undecided_guard_is_not_passed_over() -> None:
    assert "no guard is broken (unsure: generality)" in headline([run("a", agree=None, guard="unsure")])
    assert "broken is the guard of generality" in headline([run("a", agree=None, guard="broken")])


@pytest.mark.parametrize(
    ("net", "said"),
    [
        ((5, 60), "pictures win on appeal (60 % won, 20 % lost)"),
        ((-60, -5), "pictures lose on appeal (60 % won, 20 % lost)"),
        ((-5, 60), "no difference in appeal could be shown (60 % won, 20 % lost)"),
    ],
)
def test_the_headline_says_no_more_than_is_sure(net: Interval, said: str) -> None:
    assert (
        headline([run("a", prompts=50, net_ci95=net)]) == f"After tuning, over 50 prompts, {said}; no guard is broken."
    )
