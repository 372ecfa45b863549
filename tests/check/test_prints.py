"""Prints of tensors."""

import math

import torch

from emu.check.prints import apart, cosine, print_of


def test_a_print_is_apart_as_its_tensor_is() -> None:
    one = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert apart(print_of([one]), print_of([one])) == 0
    assert math.isclose(apart(print_of([1.01 * one]), print_of([one])), 0.01, rel_tol=1e-3)
    assert math.isclose(apart(print_of([-one]), print_of([one])), 2, rel_tol=0.1)


def test_of_names_the_share_that_differs() -> None:
    codes = torch.arange(32)
    others = torch.where(codes < 8, 100, codes)
    assert apart(print_of([others]), print_of([codes])) == 0.25


def test_prints_of_other_tensors_or_of_no_numbers_are_apart_by_any_measure() -> None:
    one = torch.ones(3, 3) / 3
    assert apart(print_of([one]), print_of([one, one])) == math.inf
    assert apart(print_of([one * torch.nan]), print_of([one])) == math.inf
    assert apart([], []) == 0


def test_series_that_rise_or_fall_together() -> None:
    rising = [1.0, 2.0, 4.0]
    assert math.isclose(cosine(rising, [10, 20, 40]), 1)
    assert math.isclose(cosine(rising, [-1, -2, -4]), -1)
    assert cosine(rising, [3, 3, 3]) == 0
