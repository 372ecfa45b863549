"""Krippendorff's alpha against the worked examples of his paper, and its laws."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.statistics.agreement import Metric, cohen_kappa, krippendorff_alpha

GAP = "."


def units(*raters: str) -> list[list[str]]:
    """Rows of raters as the paper prints them -> the values of each unit, gaps left out."""
    return [[value for value in unit if value != GAP] for unit in zip(*raters, strict=True)]


def test_two_raters_two_values() -> None:
    assert krippendorff_alpha(units("0100000010", "1110010000")) == pytest.approx(0.095, abs=5e-4)


def test_two_raters_five_values() -> None:
    assert krippendorff_alpha(units("aabbdcccedda", "babbbccceddd")) == pytest.approx(0.692, abs=5e-4)


@pytest.mark.parametrize(("metric", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_four_raters_with_gaps(metric: Metric, alpha: float) -> None:
    rows = units("123321412...", "1233224125.3", ".3332342251.", "12332441251.")
    assert krippendorff_alpha([[int(value) for value in unit] for unit in rows], metric=metric) == pytest.approx(
        alpha, abs=5e-4
    )


values = st.lists(st.lists(st.sampled_from("abc"), max_size=5), max_size=30)


@given(values, st.randoms(use_true_random=False))
def test_neither_order_nor_names_matter(rated: list[list[str]], rng: random.Random) -> None:
    shuffled = [rng.sample(unit, len(unit)) for unit in rng.sample(rated, len(rated))]
    renamed = [[{"a": "z", "b": "y", "c": "x"}[value] for value in unit] for unit in shuffled]
    first, second = krippendorff_alpha(rated), krippendorff_alpha(renamed)
    assert (first is None) == (second is None)
    assert first == pytest.approx(second)


def test_agreement_is_one_and_nothing_to_agree_on_is_none() -> None:
    assert krippendorff_alpha([["a", "a"], ["b", "b", "b"]]) == 1
    assert krippendorff_alpha([["a", "a"], ["a", "a"]]) is None
    assert krippendorff_alpha([["a"], ["b"]]) is None
    assert krippendorff_alpha([]) is None


def test_chance_is_zero() -> None:
    rng = random.Random(0)
    rated = [[rng.choice("ab") for _ in range(5)] for _ in range(4000)]
    assert krippendorff_alpha(rated) == pytest.approx(0, abs=0.02)


def test_the_kappa_of_complete_ratings_is_near() -> None:
    """Raters who are right 78 % of the time agree at (2 * 0.78 - 1)^2."""
    rng = random.Random(1)
    rated = [[rng.random() < 0.78 if truth else rng.random() >= 0.78 for _ in range(5)] for truth in [0, 1] * 3000]
    assert krippendorff_alpha(rated) == pytest.approx((2 * 0.78 - 1) ** 2, abs=0.02)


def test_kappa_by_hand() -> None:
    """Cohen's own arithmetic: 20 + 15 of 50 alike, 0.5 of them by chance."""
    first = np.repeat([1, 1, -1, -1], [20, 5, 10, 15]).astype(np.int8)
    second = np.repeat([1, -1, 1, -1], [20, 5, 10, 15]).astype(np.int8)
    assert cohen_kappa(first, second) == pytest.approx((0.7 - 0.5) / (1 - 0.5))
    assert cohen_kappa(first, first) == 1
    assert cohen_kappa(np.ones(4, np.int8), np.ones(4, np.int8)) is None
    rng = np.random.default_rng(0)
    by_chance = cohen_kappa(*rng.choice([-1, 0, 1], (2, 20_000)).astype(np.int8))
    assert by_chance == pytest.approx(0, abs=0.02)
