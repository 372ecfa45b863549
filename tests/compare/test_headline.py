"""The sentence on top: it tells of judges that differ, and of guards that nobody could decide."""

from typing import Any

import pytest

from emu.compare.headline import headline


def run(name: str, *, agree: bool | None, guard: str = "held", prompts: int = 240) -> dict[str, Any]:
    appeal = {"win": 60.0, "lose": 20.0, "net_ci95": (30.0, 50.0), "agreement": {"agree": agree}}
    return {"name": name, "prompts": prompts, "appeal": appeal, "guards": [{"guard": "generality", "state": guard}]}


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
