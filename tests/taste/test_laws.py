"""Laws of the head: what it finds, what it cannot know, what no fold may see, in which order people look."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emu.errors import UserError
from emu.judges.head import Head, HeadCard, read_head, write_head
from emu.taste import order
from emu.taste.held_out import auc, held_out
from emu.taste.logistic import fit, folds

NUMBER, FEW = 120, settings(max_examples=25)
ALONE = np.arange(NUMBER)


def decided(seed: int, *, number: int = NUMBER, width: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Pictures whose first dimension decides, with noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(number, width))
    return x, x[:, 0] + rng.normal(size=number) > 0


def test_the_fit_is_where_the_gradient_of_the_penalised_likelihood_is_zero() -> None:
    x, y = decided(0)
    head = fit(x, y, ALONE)
    off = 1 / (1 + np.exp(-head.log_odds(x))) - y
    z, weight = (x - x.mean(0)) / x.std(0), head.weight * x.std(0)
    assert np.abs(z.T @ off + head.penalty * weight).max() < 1e-2
    assert abs(off.sum()) < 1e-2


def test_turning_the_space_changes_no_score() -> None:
    x, y = decided(1)
    x = np.linalg.qr(x - x.mean(0))[0]  # of one length in every direction, however it is turned
    turned = x @ np.linalg.qr(np.random.default_rng(0).normal(size=(20, 20)))[0]
    one, other = fit(x, y, ALONE), fit(turned, y, ALONE)
    np.testing.assert_allclose(one.log_odds(x), other.log_odds(turned), atol=1e-3)
    np.testing.assert_allclose(one.spread(x), other.spread(turned), atol=1e-3)


def test_shifting_and_stretching_a_dimension_changes_no_score() -> None:
    x, y = decided(1)
    stretched = x * np.linspace(0.1, 10, 20) + np.arange(20)
    one, other = fit(x, y, ALONE), fit(stretched, y, ALONE)
    np.testing.assert_allclose(one.log_odds(x), other.log_odds(stretched), atol=1e-3)


def test_with_more_dimensions_than_decisions_it_still_finds_what_decides() -> None:
    x, y = decided(2, width=300)
    head = fit(x, y, ALONE)
    new, kept = decided(3, number=500, width=300)
    assert auc(head.log_odds(new), kept) > 0.55
    assert np.argmax(np.abs(head.weight)) == 0


def test_it_is_less_sure_of_what_is_unlike_all_it_saw() -> None:
    x, y = decided(4)
    head = fit(x, y, ALONE)
    assert (head.spread(20 * x[:50]) > head.spread(x[:50])).all()


@FEW
@given(st.lists(st.tuples(st.integers(0, 15), st.booleans()), min_size=30, max_size=80))
def test_every_group_is_held_out_at_most_once_and_never_divided(pairs: list[tuple[int, bool]]) -> None:
    groups, y = np.array([group for group, _ in pairs]), np.array([kept for _, kept in pairs])
    found = folds(groups, y)
    held_out = [place for _, held in found for place in held]
    assert len(held_out) == len(set(held_out))
    for rest, held in found:
        assert not set(groups[held]) & set(groups[rest])
        assert sorted([*rest, *held]) == list(range(len(y)))
        assert len(set(y[rest])) == 2


@FEW
@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30))
def test_auc_is_the_share_of_pairs_in_the_right_order(pairs: list[tuple[int, bool]]) -> None:
    scores, y = np.array([float(one) for one, _ in pairs]), np.array([kept for _, kept in pairs])
    if len(set(y)) == 2:
        kept, rejected = scores[y][:, None], scores[~y][None]
        wanted = ((kept > rejected) + 0.5 * (kept == rejected)).mean()
        assert auc(scores, y) == pytest.approx(wanted)


def test_decisions_by_a_coin_are_no_better_than_chance_and_real_ones_are() -> None:
    x, y = decided(5)
    coin = np.random.default_rng(0).random(NUMBER) < 0.5
    assert not held_out(x, coin, ALONE).better_than_chance
    found = held_out(x, y, ALONE)
    assert found.better_than_chance
    assert found.auc95[0] < found.auc < found.auc95[1]
    assert found.base < found.accuracy95[0]


def test_copies_of_a_picture_do_not_make_a_coin_look_clever() -> None:
    rng = np.random.default_rng(1)
    x, coin = np.repeat(rng.normal(size=(30, 40)), 4, axis=0), np.repeat(rng.random(30) < 0.5, 4)
    assert held_out(x, coin, ALONE).auc > 0.9  # each copy gives the other three away
    assert not held_out(x, coin, np.repeat(np.arange(30), 4)).better_than_chance


@FEW
@given(st.integers(1, 60), st.floats(0, 0.9), st.integers(0, 1000))
def test_the_order_is_one_with_a_share_of_uncertain_ones_before_what_is_decided(
    number: int, explore: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    score, spread, known = rng.random(number), rng.random(number), rng.random(number) < 0.3
    place = order(score, spread, known, explore=explore)
    assert sorted(place) == list(range(number))
    assert (place[known].min(initial=number)) >= (~known).sum()
    free = np.flatnonzero(~known)
    if explore == 0:
        assert (np.argsort(place)[: len(free)] == free[np.argsort(-score[free])]).all()


def test_every_fifth_is_the_one_that_it_knows_least_of() -> None:
    score, spread = np.linspace(1, 0.1, 20), np.linspace(0, 1, 20)
    ordered = np.argsort(order(score, spread, np.zeros(20, dtype=bool), explore=0.2)).tolist()
    assert ordered[:10] == [0, 1, 2, 3, 19, 4, 5, 6, 7, 18]


def test_a_head_comes_back_from_its_file_with_its_card(tmp_path: Path) -> None:
    x, y = decided(6)
    fitted = fit(x, y, ALONE)
    card: HeadCard = {"embedder": "one", "identity": "1", "eye": {}, "pass": None, "held out": {}, "penalty": 1.0}
    write_head(tmp_path / "taste.safetensors", Head(fitted.weight, fitted.bias, card))
    head = read_head(tmp_path / "taste.safetensors")
    np.testing.assert_allclose(head(x), 1 / (1 + np.exp(-fitted.log_odds(x))))
    assert head.card == card


def test_what_is_no_head_is_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    (tmp_path / "a.safetensors").write_bytes(b"nothing")
    save_file({"weight": np.zeros(3)}, tmp_path / "b.safetensors")
    for name in "abc":
        with pytest.raises(UserError, match="made by emu taste|not a head of emu taste"):
            read_head(tmp_path / f"{name}.safetensors")
