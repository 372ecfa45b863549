"""A study's figures, table and plot, from runs made by hand."""

import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emu.errors import UserError
from emu.guards.looks import COLOURS
from emu.storage.files import write_json
from emu.study.outcome import GuardNumber, StudyOutcome
from emu.study.plan import Study
from emu.study.results import outcome_of
from emu.study.scored import Draws, ScoredRun
from emu.study.table import study_table

TIES = {"appeal": 0.05, "faithfulness": 0.05}


def run(
    levels: dict[int, float], *, seed: int = 0, best: int | None = None, ties: dict[str, float] = TIES
) -> ScoredRun:
    """A run whose pictures at each step score about the level given, prompt by prompt."""
    keys = [(f"prompt {i}", seed + i) for i in range(40)]
    rng = np.random.default_rng(seed)
    steps = {}
    for step, level in levels.items():
        drawn = {key: float(level + rng.uniform(-0.02, 0.02)) for key in keys}
        steps[step] = Draws(dict.fromkeys(ties, drawn), dict.fromkeys(COLOURS, drawn))
    chosen = max(levels, key=lambda step: levels[step]) if best is None else best
    return ScoredRun(Path("run"), steps, chosen, ties, "step 9: the end")


def outcome(reference: str | None = "b", /, **arms: list[ScoredRun]) -> StudyOutcome:
    study = Study("latent/tiny", arms={arm: {} for arm in arms}, question="How?", reference=reference)
    return outcome_of(study, {arm: dict(enumerate(some)) for arm, some in arms.items()})


GOOD = outcome(
    a=[run({0: 0.2, 4: 0.3, 8: 0.6}), run({0: 0.2, 4: 0.3}, seed=50)],
    b=[run({0: 0.2, 4: 0.8, 8: 0.7}), run({0: 0.2, 4: 0.7, 8: 0.5}, seed=50)],
)


def test_the_best_step_of_each_seed_is_what_counts() -> None:
    assert GOOD.arms["a"].best_steps == [8, 4]
    assert GOOD.arms["b"].appeal
    assert GOOD.arms["b"].appeal.win == 100.0
    assert GOOD.arms["b"].score
    assert GOOD.arms["b"].score.difference == pytest.approx((0.6 + 0.5) / 2, abs=0.01)


def test_against_the_reference_runs_are_paired_seed_by_seed() -> None:
    against, last = GOOD.arms["a"].against, GOOD.arms["a"].against_last
    assert against
    assert against.appeal
    assert (against.appeal.win, against.appeal.lose, against.appeal.n) == (0.0, 100.0, 80)
    assert against.appeal_net
    assert against.appeal_net.net == -100.0
    assert GOOD.arms["b"].against is None
    assert last
    assert last.appeal
    assert last.appeal.lose == 100.0  # at step 8, and step 4 of the second seed
    assert GOOD.before
    assert GOOD.before.against.appeal
    assert GOOD.before.against.appeal.lose == 100.0


def test_a_curve_has_the_steps_that_all_seeds_reached() -> None:
    assert [at.step for at in GOOD.arms["a"].curve] == [4]
    assert [at.step for at in GOOD.arms["b"].curve] == [4, 8]


def test_rates_add_up_and_lie_in_their_intervals() -> None:
    for arm in GOOD.arms.values():
        for figures in (arm, *arm.curve):
            rates = figures.appeal
            assert rates
            assert rates.win + rates.tie + rates.lose == pytest.approx(100)
            assert rates.ci95[0] <= rates.win <= rates.ci95[1]


def test_the_table_has_a_row_an_arm_and_says_what_the_figures_say() -> None:
    lines = study_table(GOOD).splitlines()
    (first, second) = [line for line in lines if line.startswith("a ")]
    assert "4-8" in first
    assert GOOD.arms["a"].score
    assert f"{GOOD.arms['a'].score.after:.2f}" in first
    assert second.split()[1:4] == ["0.0", "0.0", "100.0"]
    assert any(line.startswith("(before tuning)") for line in lines)
    assert len({len(line) for line in lines if "[" in line and "->" in line}) == 1


def test_study_json_is_read_again_as_it_was_written(tmp_path: Path) -> None:
    measured = outcome(a=[guarded({4: 0.9, 8: 1.2})], b=[run({0: 0.2, 4: 0.8})])
    for found in (GOOD, measured, outcome(None, a=[run({0: 0.2, 4: 0.3}, ties={"appeal": 0.05})])):
        write_json(tmp_path / "study.json", found)
        assert StudyOutcome.read(tmp_path / "study.json") == found


def test_a_study_json_of_another_schema_is_one_line(tmp_path: Path) -> None:
    write_json(tmp_path / "study.json", replace(GOOD, schema=2))  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"study\.json: schema is 2, not 1; make it again"):
        StudyOutcome.read(tmp_path / "study.json")


def guarded(values: dict[int, float]) -> ScoredRun:
    rows = {step: {"held-out loss": GuardNumber(value, (value, 2.0))} for step, value in values.items()}
    return replace(run({0: 0.2, 4: 0.3, 8: 0.6}), guards=rows)


def test_guards_are_told_of_every_run_where_all_measured_them() -> None:
    curves = outcome(a=[guarded({4: 0.9, 8: 1.2}), guarded({4: 0.8})], b=[run({0: 0.2, 4: 0.8, 8: 0.7})]).arms
    first, second = (at.guards for at in curves["a"].curve)
    assert [one.value for one in first["held-out loss"]] == [0.9, 0.8]
    assert second == {}
    assert curves["b"].curve[0].guards == {}


def test_the_plot_has_a_panel_for_a_guard_that_all_arms_measured() -> None:
    pytest.importorskip("matplotlib", reason="the extra `studies` is not installed")
    from emu.study.plot import plot

    for measured, arms in ((True, [guarded({4: 0.9, 8: 1.2})]), (False, [run({0: 0.2, 4: 0.8, 8: 0.7})])):
        picture = plot(outcome(a=[guarded({4: 0.9, 8: 1.2})], b=arms)).decode()
        assert ("held-out loss, after / before" in picture) == measured


def test_judges_that_differ_are_refused() -> None:
    with pytest.raises(UserError, match="different judges"):
        outcome(a=[run({0: 0.2, 4: 0.3})], b=[run({0: 0.2, 4: 0.3}, ties={"appeal": 0.01})])


def test_a_study_of_one_criterion_is_told_too() -> None:
    only = {"appeal": 0.05}
    one = outcome(b=[run({0: 0.2, 4: 0.3}, ties=only)])
    assert one.arms["b"].faithfulness_net is None
    assert " -" in study_table(one)


def test_a_study_of_one_arm_is_drawn_over_its_steps_alone() -> None:
    pytest.importorskip("matplotlib", reason="the extra `studies` is not installed")
    from emu.study.plot import plot

    picture = plot(outcome(None, a=[run({0: 0.2, 4: 0.3, 8: 0.6})])).decode()
    assert "appeal win over steps" in picture
    assert "best against its own before" not in picture


def test_the_plot_names_every_arm_and_is_the_same_each_time() -> None:
    pytest.importorskip("matplotlib", reason="the extra `studies` is not installed")
    from emu.study.plot import plot

    picture = plot(GOOD)
    text = " ".join(node.text or "" for node in ElementTree.fromstring(picture).iter())
    assert "How? (latent/tiny)" in text
    assert "last step against the last of b" in text
    assert plot(GOOD) == picture
