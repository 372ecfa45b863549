"""Statistics against numbers that others have published, and against their own definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from emu.statistics import (
    by_prompt,
    corrected,
    mean_interval,
    prompts_needed,
    ratio_interval,
    sign_test,
    simultaneous_level,
    smallest_rate,
)
from emu.statistics.power import power
from emu.statistics.rates import effective_number


def signs_of(won: int, lost: int, tied: int = 0) -> list[int]:
    return [1] * won + [-1] * lost + [0] * tied


@pytest.mark.parametrize(
    ("won", "lost", "p"),
    [
        (8, 1, 0.0390625),  # 2 (1 + 9) / 2^9
        (15, 5, 0.041389),  # 2 x 0.0207 in tables of the binomial, n = 20
        (10, 10, 1.0),
        (0, 5, 0.0625),
    ],
)
def test_sign_test_has_the_tables_values(won: int, lost: int, p: float) -> None:
    found = sign_test(signs_of(won, lost, tied=7), range(won + lost + 7))
    assert (found.won, found.lost) == (won, lost)
    assert found.p == pytest.approx(p, abs=1e-6)


def test_a_prompt_of_many_draws_is_one_toss() -> None:
    # Three prompts, ten draws each: by draws 30 wins would be beyond all doubt.
    assert sign_test([1] * 30, [i // 10 for i in range(30)]).p == pytest.approx(0.25)
    assert sign_test([1, 1, -1, -1, 1, -1], ["a"] * 3 + ["b"] * 3).won == 1
    assert sign_test([0, 0], "ab").p == 1


def test_holm_has_the_papers_values() -> None:
    # Holm's procedure by hand: 4 x 0.005, 3 x 0.01, 2 x 0.03, and never below the one before.
    assert corrected([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert corrected([]) == []
    assert simultaneous_level(5) == pytest.approx(0.99)


@pytest.mark.parametrize(("rate", "wanted"), [(0.55, 783), (0.6, 194), (0.65, 85), (0.7, 47)])
def test_prompts_needed_is_just_above_the_normal_formula(rate: float, wanted: int) -> None:
    # ((z_.975 / 2 + z_.8 sqrt(p q)) / (p - 1/2))^2, Noether 1987, JASA 82(398); an exact test needs a little more.
    assert wanted <= prompts_needed(rate) <= 1.2 * wanted


@pytest.mark.parametrize("rate", [0.6, 0.65, 0.2])
def test_prompts_needed_keep_their_power(rate: float) -> None:
    n = prompts_needed(rate)
    assert power(rate, n - 1) < 0.8
    assert all(power(rate, more) >= 0.8 for more in range(n, n + 60))
    assert prompts_needed(rate, ties=0.5) == 2 * n
    assert prompts_needed(rate, power_wanted=0.95) > n


def test_power_is_the_share_of_studies_that_reject() -> None:
    rng = np.random.default_rng(0)
    rejected = np.mean([sign_test(signs_of(w, 60 - w), range(60)).p <= 0.05 for w in rng.binomial(60, 0.7, size=2000)])
    assert power(0.7, 60) == pytest.approx(rejected, abs=0.02)
    assert power(0.5, 60) <= 0.05


def test_what_no_number_of_prompts_tells_is_refused() -> None:
    with pytest.raises(ValueError, match="too near to 0.5"):
        prompts_needed(0.5)
    with pytest.raises(ValueError, match="shares of prompts"):
        prompts_needed(55)
    assert smallest_rate(5) is None
    found = smallest_rate(240)
    assert found is not None
    assert power(found, 240) >= 0.8 > power(found - 0.001, 240)


@pytest.mark.parametrize("n", [2, 5, 400])
def test_of_a_mean_it_is_the_interval_of_the_t_test(n: int) -> None:
    values = np.random.default_rng(0).normal(3, 2, size=n)
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert mean_interval(values, range(n)) == pytest.approx((theirs.low, theirs.high))


def test_of_a_ratio_it_is_near_the_bootstrap_where_there_are_many_prompts() -> None:
    rng = np.random.default_rng(0)
    before = rng.gamma(9, 1, size=300)
    after = 0.9 * before * rng.gamma(25, 1 / 25, size=300)
    drawn = rng.integers(300, size=(4000, 300))
    theirs = np.percentile(after[drawn].sum(1) / before[drawn].sum(1), (2.5, 97.5))
    assert ratio_interval(after, before) == pytest.approx(theirs.tolist(), abs=0.002)


def test_an_end_has_no_bound_where_one_prompt_has_all() -> None:
    assert not np.isfinite(ratio_interval([1.0, 2.0], [0.0, 1.0])).any()


def test_repeating_every_draw_adds_nothing() -> None:
    values = np.random.default_rng(1).normal(size=50)
    once = mean_interval(values, range(50))
    assert mean_interval(np.repeat(values, 8), np.repeat(np.arange(50), 8).tolist()) == pytest.approx(once)


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(-3, 3)), min_size=1, max_size=30))
def test_draws_go_to_their_prompts(rows: list[tuple[str, int]]) -> None:
    prompts, values = zip(*rows, strict=True)
    sums, counts = by_prompt(values, prompts)
    assert sums.sum() == sum(values)
    assert counts.tolist() == [prompts.count(name) for name in dict.fromkeys(prompts)]
    assert 1 <= effective_number(values, prompts) <= len(values)


def test_effective_number_lies_between_prompts_and_draws() -> None:
    rng = np.random.default_rng(2)
    prompts = np.repeat(np.arange(200), 5).tolist()
    assert effective_number(np.repeat(rng.random(200), 5), prompts) == pytest.approx(200, rel=0.02)
    assert effective_number(rng.random(1000), prompts) > 800
    assert effective_number(rng.random(1000), range(1000)) == 1000
    assert effective_number([1.0] * 1000, prompts) == 200


@pytest.mark.parametrize(("above", "below"), [([1.0], [1.0]), ([1.0, np.nan], [1.0, 1.0]), ([1.0, 2.0], [1.0])])
def test_an_interval_of_nothing_is_refused(above: list[float], below: list[float]) -> None:
    with pytest.raises(ValueError, match="at least two prompts"):
        ratio_interval(above, below)
