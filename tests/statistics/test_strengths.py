"""Bradley-Terry strengths against closed forms, and the coverage of their intervals."""

import math

import numpy as np
import pytest

pytest.importorskip("choix", reason="the extra `desk` is not installed")

from emu.statistics.strengths import Comparison, strengths


def votes(first: str, second: str, *, won: int, lost: int, tied: int = 0) -> list[Comparison]:
    results = [1.0] * won + [0.0] * lost + [0.5] * tied
    return [Comparison(f"prompt {i}", first, second, result) for i, result in enumerate(results)]


def test_two_models_differ_by_the_log_odds() -> None:
    found = strengths(votes("tuned", "base", won=82, lost=15, tied=3), resamples=50)
    assert [one.model for one in found] == ["tuned", "base"]
    assert found[0].strength - found[1].strength == pytest.approx(math.log(83.5 / 16.5), abs=1e-3)
    assert found[0].ci95[0] < found[0].strength < found[0].ci95[1]


def test_three_models_that_fit_the_model_are_found_exactly() -> None:
    truth = {"a": 0.8, "b": 0.0, "c": -0.8}
    compared = []
    for one, other in (("a", "b"), ("b", "c"), ("a", "c")):
        won = round(100_000 / (1 + math.exp(truth[other] - truth[one])))
        compared += [Comparison(f"{one}{other}", one, other, won / 100_000)] * 400
    found = {one.model: one.strength for one in strengths(compared, resamples=2)}
    assert found == pytest.approx(truth, abs=1e-3)


@pytest.mark.parametrize("won", [5, 20, 200])
def test_a_model_that_never_lost_has_an_interval_open_upwards(won: int) -> None:
    """Its other end is where so many wins in a row have a chance of 2.5 %, by hand."""
    winner, loser = strengths(votes("a", "b", won=won, lost=0), resamples=50)
    share = 0.025 ** (1 / won)
    assert winner.ci95 == (pytest.approx(math.log(share / (1 - share)) / 2, abs=1e-6), None)
    assert loser.ci95 == (None, pytest.approx(-winner.ci95[0] if winner.ci95[0] else 0, abs=1e-6))
    assert math.isfinite(winner.strength)


def test_five_votes_on_a_prompt_are_no_surer_than_one() -> None:
    once, often = votes("a", "b", won=20, lost=0), votes("a", "b", won=20, lost=0) * 5
    assert strengths(once, resamples=2)[0].ci95 == strengths(often, resamples=2)[0].ci95


def test_of_three_only_the_ends_that_votes_speak_of_are_there() -> None:
    """a beat b and c each time; b and c beat each other: what is open is how far a is above them."""
    compared = votes("a", "b", won=20, lost=0) + votes("a", "c", won=20, lost=0) + votes("b", "c", won=12, lost=8)
    found = {one.model: one for one in strengths(compared, resamples=200)}
    assert found["a"].ci95[0] is not None
    assert (found["a"].ci95[1], found["b"].ci95[0], found["c"].ci95[0]) == (None, None, None)
    assert found["a"].ci95[0] > found["b"].ci95[1] > found["c"].ci95[1]  # type: ignore[operator]
    chain = votes("a", "b", won=9, lost=0) + votes("b", "c", won=9, lost=0)
    assert {one.model: one.ci95 for one in strengths(chain, resamples=50)}["b"] == (None, None)


def test_one_loss_of_many_is_an_end() -> None:
    low, high = strengths(votes("a", "b", won=95, lost=5), resamples=400)[0].ci95
    assert low is not None
    assert high is not None
    assert low < math.log(95 / 5) / 2 < high < 3


def test_models_without_a_link_are_refused() -> None:
    with pytest.raises(ValueError, match="never compared"):
        strengths(votes("a", "b", won=3, lost=1) + votes("c", "d", won=3, lost=1))


@pytest.mark.slow
def test_the_interval_covers_the_truth_though_votes_on_a_prompt_agree() -> None:
    """Each prompt has its own advantage, which five votes on it share; resampling votes would cover far less."""
    rng, covered = np.random.default_rng(0), 0
    # The strength that the marginal win rate over prompts corresponds to, by a large sample.
    share = 1 / (1 + np.exp(-(0.8 + rng.normal(0, 1.5, 2_000_000))))
    truth = float(np.log(share.mean() / (1 - share.mean()))) / 2
    for _ in range(300):
        chance = 1 / (1 + np.exp(-(0.8 + rng.normal(0, 1.5, 80))))
        drawn = [
            Comparison(str(prompt), "a", "b", float(rng.random() < chance[prompt]))
            for prompt in range(80) for _ in range(5)
        ]  # fmt: skip
        low, high = next(one.ci95 for one in strengths(drawn, resamples=200) if one.model == "a")
        covered += (low is None or low <= truth) and (high is None or truth <= high)
    assert 0.91 <= covered / 300 <= 0.98
