"""Laws of pooled rates: prompts are what is sampled, however many draws each has."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.compare import compare
from emu.judges import judge_card
from emu.judges.photo_rules import PhotoRules
from emu.layouts import runs
from emu.layouts.quality_json import Quality, read_quality, write_quality
from emu.statistics import win_rate
from emu.study.plan import Study
from emu.study.results import outcome_of
from emu.study.scored import Scores, moved, net, rate, read_scored
from lamp import Brightness

scores = st.lists(st.floats(0, 1), min_size=2, max_size=40)


def draws(values: list[float], *, seed: int = 0) -> Scores:
    return {(f"prompt {i}", seed + i): value for i, value in enumerate(values)}


@given(scores, st.randoms())
def test_one_seed_is_the_plain_win_rate(before: list[float], random: object) -> None:
    after = list(reversed(before))
    told = rate([(draws(before), draws(after))], tie=0.05)
    plain = win_rate(before, after, tie=0.05)
    assert told is not None
    assert (told.n, told.win, told.lose) == (plain.n, pytest.approx(plain.win), pytest.approx(plain.lose))
    assert told.ci95 == pytest.approx(plain.ci95, abs=1e-6)


@given(scores, st.integers(2, 5))
def test_seeds_that_agree_tell_no_more_than_one(before: list[float], seeds: int) -> None:
    after = list(reversed(before))
    one = rate([(draws(before), draws(after))], tie=0.05)
    many = rate([(draws(before, seed=100 * s), draws(after, seed=100 * s)) for s in range(seeds)], tie=0.05)
    assert one is not None
    assert many is not None
    assert many.n == seeds * one.n
    assert many.win == pytest.approx(one.win)
    assert many.ci95[1] - many.ci95[0] >= 0.95 * (one.ci95[1] - one.ci95[0])


def test_seeds_that_are_independent_tell_more() -> None:
    rng = np.random.default_rng(0)
    pairs = [(draws([0.5] * 60, seed=1000 * s), draws(rng.random(60).tolist(), seed=1000 * s)) for s in range(4)]
    one, four = rate(pairs[:1], tie=0), rate(pairs, tie=0)
    assert one is not None
    assert four is not None
    assert four.ci95[1] - four.ci95[0] < 0.65 * (one.ci95[1] - one.ci95[0])


def test_only_prompts_and_seeds_that_both_drew_are_paired() -> None:
    before, after = {("a", 0): 0.0, ("b", 1): 0.0, ("c", 2): 1.0}, {("a", 0): 1.0, ("b", 9): 1.0, ("c", 2): 0.0}
    told = rate([(before, after)], tie=0)
    assert told is not None
    assert (told.n, told.win, told.lose) == (2, 50.0, 50.0)
    assert rate([({("a", 0): 1.0}, {("a", 1): 1.0})], tie=0) is None


@given(scores)
def test_net_is_win_minus_lose(before: list[float]) -> None:
    pairs = [(draws(before), draws(list(reversed(before))))]
    told = rate(pairs, tie=0.05)
    assert told is not None
    assert net(pairs, tie=0.05).net == pytest.approx(told.win - told.lose, abs=1e-9)


def test_what_moved_is_told_by_prompt_whatever_the_seeds() -> None:
    before = draws([0.1, 0.4, 0.6])
    after = draws([0.2, 0.6, 0.9])
    one = moved([(before, after)])
    twice = [{(prompt, 9): score for (prompt, _), score in side.items()} for side in (before, after)]
    again = moved([(before, after), (twice[0], twice[1])])
    assert one.difference == pytest.approx(0.2)
    assert again.difference == pytest.approx(0.2)
    assert again.before == pytest.approx(one.before)


def test_a_judge_who_came_afterwards_changes_no_study(tmp_path: Path) -> None:
    """`emu compare` lets it judge two steps of one run; a study is told by those who watched the tuning."""
    run = judged_run(tmp_path / "run")
    before = read_scored(run)
    compare([run], out=tmp_path / "page.html", appeal=PhotoRules(), faithfulness=PhotoRules())
    assert len(read_quality(run).judges) == 3
    assert read_scored(run).ties == before.ties == {"appeal": 0.5 / 255}
    study = Study("latent/tiny", arms={"a": {}, "b": {}}, reference="a")
    outcome = outcome_of(study, {"a": {0: before}, "b": {0: read_scored(run)}})
    assert outcome.arms["a"].curve == outcome.arms["b"].curve
    assert [at.step for at in outcome.arms["b"].curve] == [10, 20]


def test_a_black_picture_counts_in_no_study(tmp_path: Path) -> None:
    run = judged_run(tmp_path / "run")
    runs.save_picture(runs.step_folder(run, 10) / runs.picture_name(2), np.zeros((8, 8, 3), dtype=np.uint8))
    first, second, _ = read_scored(run).steps.values()
    assert (len(first.scores["appeal"]), len(second.scores["appeal"]), len(second.drift["contrast"])) == (4, 3, 3)
    won = rate([(first.scores["appeal"], second.scores["appeal"])], tie=0)
    assert won is not None
    assert won.n == 3


def judged_run(run: Path) -> Path:
    """Three steps of four pictures, ever brighter, which Brightness watched."""
    judge, prompts = Brightness(), [f"a {i}" for i in range(4)]
    for step in (0, 10, 20):
        folder = runs.step_folder(run, step)
        for i in range(4):
            runs.save_picture(folder / runs.picture_name(i), np.full((8, 8, 3), 20 + step + i, dtype=np.uint8))
        names = [runs.picture_name(i) for i in range(4)]
        runs.write_judges(folder, {"appeal": judge_card(judge)})
        runs.write_scores(folder, {name: {"appeal": (20 + step + i) / 255} for i, name in enumerate(names)})
        rows = [{"file": name, "prompt": prompts[i], "seed": i, "index": i} for i, name in enumerate(names)]
        runs.write_samples(folder, rows)
    write_quality(run, Quality(run.name, best_step=20, stop_reason="the end", judges={"appeal": judge_card(judge)}))
    return run
