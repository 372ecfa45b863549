"""Stages that look at all pictures at once: duplicates, quotas, the best, a budget."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emu.curate.stage import Choice, Selection
from emu.curate.stages import Balance, Best, Budget, Duplicates
from emu.curate.stages.best import _Ordered
from emu.curate.stages.duplicates import SIDE


def chosen(stage: Selection, scores: dict[str, Any], there: Any = None) -> tuple[list[int], Choice]:
    """The rows that stay."""
    arrays = {name: np.asarray(values) for name, values in scores.items()}
    count = len(next(iter(arrays.values())))
    here = np.ones(count, dtype=bool) if there is None else np.asarray(there)
    choice = stage.choose(arrays, here)
    assert not (choice.leaves & ~here).any()
    assert set(choice.reasons) == set(np.flatnonzero(choice.leaves).tolist())
    return np.flatnonzero(here & ~choice.leaves).tolist(), choice


def layout(seed: int) -> bytes:
    """Every seed has colours of its own."""
    return np.random.default_rng(seed).integers(0, 256, SIDE * SIDE * 3, dtype=np.uint8).tobytes()


def looks(
    *phashes: int, sizes: list[int] | None = None, names: str | None = None, seeds: Sequence[int] = ()
) -> dict[str, Any]:
    count = len(phashes)
    return {
        "sha256": list(names or map(str, range(count))),
        "phash": np.array(phashes, dtype=np.uint64),
        "layout": np.array([layout(seed) for seed in seeds or [0] * count], dtype=object),
        "width": sizes or [10] * count,
        "height": [10] * count,
    }


def test_where_none_is_kept_no_last_one_is_named() -> None:
    stay, choice = chosen(Best(0, {"score": 1}), {"score": [1.0, 2.0]})
    assert stay == []
    assert choice.reasons[0] == "rank 0.2500, none is kept"
    _, choice = chosen(Best(1, {"score": 1}), {"score": [1.0, 2.0]})
    assert choice.reasons[0] == "rank 0.2500, the last one kept has 0.7500"


def test_of_what_looks_the_same_the_largest_stays() -> None:
    stay, choice = chosen(Duplicates(distance=2), looks(0b1111, 0b1011, 0xFFFF << 40, sizes=[10, 20, 5]))
    assert stay == [1, 2]
    assert choice.reasons == {0: "looks like row 1 (1 of 64 bits and 0.00 of the layout differ)"}
    assert choice.twins == {0: 1}


def test_what_is_like_in_light_alone_is_no_copy() -> None:
    assert chosen(Duplicates(), looks(7, 7, 7, seeds=[0, 1, 0]))[0] == [0, 1]


def test_the_best_of_equal_looks_stays_whatever_its_place() -> None:
    scores = looks(7, 7, 7) | {"blocks": np.array([0.5, 0.1, 0.9])}
    assert chosen(Duplicates(by={"blocks": -1}), scores)[0] == [1]
    assert chosen(Duplicates(distance=-1, by={"blocks": -1}), scores | {"sha256": list("aaa")})[0] == [1]


def test_the_same_bytes_are_the_same_picture_whatever_the_distance() -> None:
    for distance in (-1, 0, 6):
        stay, choice = chosen(Duplicates(distance=distance), looks(1 << 60, 0xFF, 1 << 60, names="aba"))
        assert (stay, choice.reasons, choice.twins) == ([0, 1], {2: "the same bytes as row 0"}, {2: 0})


def test_chains_do_not_swallow_what_differs() -> None:
    stay, _ = chosen(Duplicates(distance=2), looks(0b0, 0b11, 0b1111, 0b111111))
    assert stay == [0, 2]  # each of the others is near to one that stays


def test_who_left_before_is_nobody_s_original() -> None:
    assert chosen(Duplicates(distance=2), looks(0b0, 0b1, 0b1 << 30), [False, True, True])[0] == [1]


def test_the_best_by_ranks_of_any_scale() -> None:
    scores = {"appeal": [0.1, 0.9, 0.5, 0.4], "likes": [1e6, 2e6, 3e6, np.nan]}
    assert chosen(Best(2, {"appeal": 1.0}), scores)[0] == [1, 2]
    assert chosen(Best(2, {"appeal": -1.0}), scores)[0] == [0, 3]
    assert chosen(Best(1, {"appeal": 1.0, "likes": 2.0}), scores)[0] == [2]
    assert chosen(Best(9, {"likes": 1.0}), scores)[0] == [0, 1, 2, 3]
    assert chosen(Best(2, {"same": 1.0}), {"same": [4.0] * 5})[0] == [0, 1]
    assert chosen(Best(0, {"same": 1.0}), {"same": [4.0] * 5})[0] == []


def test_quotas_take_the_best_of_each_and_tell_before_and_after() -> None:
    scores = {"concept": list("aaabbc"), "appeal": [1.0, 3.0, 2.0, 5.0, 4.0, 0.0]}
    stay, choice = chosen(Balance(1, quotas={"a": 2}, by={"appeal": 1.0}), scores)
    assert stay == [1, 2, 3, 5]
    assert choice.notes == {"before": {"a": 3, "b": 2, "c": 1}, "after": {"a": 2, "b": 1, "c": 1}}
    assert chosen(Balance(1), {"concept": ["a", None, "a", None]})[0] == [0, 1]


def test_a_budget_keeps_the_same_share_of_each_concept_however_it_is_scored() -> None:
    rng = np.random.default_rng(0)
    concepts = np.array(["easy"] * 600 + ["hard"] * 300)
    scores = {"concept": concepts, "appeal": np.where(concepts == "easy", 10, 0) + rng.random(900)}
    stay, choice = chosen(Budget(["appeal"], 90, "concept"), scores)
    assert 85 <= len(stay) <= 90
    assert sum(row < 600 for row in stay) == pytest.approx(60, abs=3)
    thresholds = choice.notes["thresholds"]
    assert thresholds["easy"]["appeal"] > 10 > 1 > thresholds["hard"]["appeal"]
    assert all(scores["appeal"][row] >= thresholds[str(concepts[row])]["appeal"] for row in stay)


@settings(max_examples=60, deadline=None)
@given(number=st.integers(1, 60), seed=st.integers(0, 99))
def test_a_budget_is_kept_over_several_columns(number: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = {"a": rng.random(50), "b": rng.random(50)}
    stay, _ = chosen(Budget(["a", "b"], number), scores)
    assert len(stay) <= number
    assert number < 50 or len(stay) == 50


@given(
    concepts=st.lists(st.sampled_from("abcde"), min_size=1, max_size=60),
    number=st.integers(1, 30),
    seed=st.integers(0, 99),
    unknown=st.sampled_from([0.0, 0.3]),
)
def test_thresholds_are_the_quantiles_of_each_concept(
    concepts: list[str], number: int, seed: int, unknown: float
) -> None:
    """Concept by concept as numpy has them, whatever is not known, and who stays reaches them all."""
    rng = np.random.default_rng(seed)
    count = len(concepts)
    scores: dict[str, Any] = {name: rng.integers(0, 9, count) / 4 for name in ("x", "y")}
    scores["x"][rng.random(count) < unknown] = np.nan
    scores["of"] = np.array(concepts, dtype=object)
    stay, choice = chosen(Budget(["x", "y"], number, "of"), scores)
    if count <= number:
        assert stay == list(range(count))
        return
    # The share that is kept is rounded, and the one of a count falls between two halvings.
    thresholds = choice.notes["thresholds"]
    assert sorted(thresholds) == sorted(set(concepts))
    for concept, each in thresholds.items():
        of_it = scores["of"] == concept
        for name, threshold in each.items():
            known = np.sort(scores[name][of_it][~np.isnan(scores[name][of_it])])
            assert np.isnan(threshold) if not len(known) else threshold in known
    wanted = [i for i in range(count) if all(scores[name][i] >= thresholds[concepts[i]][name] for name in ("x", "y"))]
    assert stay == wanted


@given(
    which=st.lists(st.integers(0, 4), min_size=1, max_size=60),
    seed=st.integers(0, 99),
    share=st.floats(0, 1),
)
def test_a_quantile_is_numpys_higher_one(which: list[int], seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 9, len(which)) / 4
    values[rng.random(len(which)) < 0.2] = np.nan
    places = np.unique(which, return_inverse=True)[1]
    found = _Ordered(values, places).thresholds(share)
    for number, threshold in enumerate(found):
        known = values[places == number][~np.isnan(values[places == number])]
        wanted = np.quantile(known, share, method="higher") if len(known) else np.nan
        assert threshold == wanted or np.isnan(threshold) and np.isnan(wanted)
