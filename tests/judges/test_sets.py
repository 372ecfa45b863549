"""Measures of sets against closed forms: Gaussians whose distance is known, sets that are the same, sets apart."""

import math
import warnings

import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics.image.kid import KernelInceptionDistance

from emu.compare.reference import set_figures
from emu.judges.sets import _Given, cmmd, coverage, frechet_distance, kernel_distance


def gaussian(count: int, width: int, *, mean: float = 0.0, spread: float = 1.0, seed: int = 0) -> Tensor:
    """Normal features with exactly this mean and this covariance, spread^2 times the identity."""
    x = torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x = x - x.mean(0)
    whiten = torch.linalg.inv(torch.linalg.cholesky(x.T.cov()))
    return x @ whiten.T * spread + mean


def test_frechet_distance_of_gaussians_is_the_closed_form() -> None:
    """|mu|^2 + d (s_1 - s_2)^2 for two multiples of the identity."""
    first, second = gaussian(200, 4, seed=1), gaussian(300, 4, mean=0.5, spread=2.0, seed=2)
    assert frechet_distance(first, second) == pytest.approx(4 * 0.25 + 4 * 1.0, rel=1e-6)
    assert frechet_distance(second, first) == pytest.approx(5.0, rel=1e-6)


def test_a_set_is_at_no_distance_from_itself() -> None:
    x = gaussian(200, 4)
    same = set_figures(x, x)
    assert same.fid == pytest.approx(0, abs=1e-6)
    assert (same.precision, same.recall) == (1, 1)
    assert -1 < same.cmmd < 0  # unbiased: two draws of one distribution scatter around 0, a set and itself lie below
    assert set_figures(x[torch.randperm(200)], x).fid == pytest.approx(0, abs=1e-6)


def test_cmmd_of_gaussians_is_the_closed_form() -> None:
    """E k(x,y) is (g / t)^(d/2) exp(-|mu|^2 / 2 t), t = g + s_1^2 + s_2^2, g = sigma^2 of the kernel."""

    def kernel(first: float, second: float, away: float) -> float:
        total = 100 + first**2 + second**2
        return (100 / total) ** (4 / 2) * math.exp(-4 * away**2 / (2 * total))

    wanted = 1000 * (kernel(3, 3, 0) + kernel(6, 6, 0) - 2 * kernel(3, 6, 4.0))
    draws = torch.Generator().manual_seed(0)
    x = 3 * torch.randn(4000, 4, generator=draws, dtype=torch.float64)
    y = 6 * torch.randn(3000, 4, generator=draws, dtype=torch.float64) + 4
    assert cmmd(x, y) == pytest.approx(wanted, rel=0.05)


def test_cmmd_and_kid_are_unbiased() -> None:
    """Over many small draws of one distribution the mean is 0, though each is not."""
    draws = torch.Generator().manual_seed(0)
    pairs = torch.randn(300, 2, 20, 4, generator=draws, dtype=torch.float64)
    found = torch.tensor([cmmd(x, y) for x, y in pairs])
    assert abs(found.mean()) < 3 * found.std() / 300**0.5
    found = torch.tensor([kernel_distance(x, y)[0] for x, y in pairs[:60]])
    assert abs(found.mean()) < 3 * found.std() / 60**0.5
    assert found.std() > 0


def test_kid_is_the_cubic_kernels_mmd() -> None:
    x, y = gaussian(40, 3, seed=1), gaussian(40, 3, mean=1.0, seed=2)

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / 3 + 1) ** 3

    own = sum((k.sum() - k.trace()) / (40 * 39) for k in (kernel(x, x), kernel(y, y)))
    mean, _ = kernel_distance(x, y)
    assert mean == pytest.approx(float(own - 2 * kernel(x, y).mean()), rel=1e-6)
    state = torch.get_rng_state()
    assert kernel_distance(x, y[:30]) == kernel_distance(x, y[:30])
    assert torch.equal(torch.get_rng_state(), state)


def test_kid_is_what_torchmetrics_has_of_one_whole_subset() -> None:
    x, y = gaussian(30, 8, seed=1), gaussian(30, 8, mean=0.5, seed=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it keeps all features in memory
        theirs = KernelInceptionDistance(feature=_Given(8), subsets=1, subset_size=30)
    theirs.update(x.double(), real=True)
    theirs.update(y.double(), real=False)
    assert kernel_distance(x, y)[0] == pytest.approx(float(theirs.compute()[0]), rel=1e-6)


def test_kid_leaves_each_picture_out_in_turn_for_its_spread() -> None:
    x, y = gaussian(6, 3, seed=1), gaussian(5, 3, mean=1.0, seed=2)
    left = [[kernel_distance(x[np.arange(6) != i], y)[0] for i in range(6)]]
    left += [[kernel_distance(x, y[np.arange(5) != i])[0] for i in range(5)]]
    wanted = sum(np.var(each) * (len(each) - 1) for each in left) ** 0.5
    assert kernel_distance(x, y)[1] == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize(("sizes", "apart"), [((50, 50), 0.0), ((50, 50), 0.5), ((12, 12), 0.0), ((50, 200), 0.5)])
def test_kid_s_spread_is_how_much_it_moves_when_pictures_are_drawn_again(sizes: tuple[int, int], apart: float) -> None:
    draws = torch.Generator().manual_seed(0)
    found = np.array(
        [
            kernel_distance(
                torch.randn(sizes[0], 16, generator=draws) + apart, torch.randn(sizes[1], 16, generator=draws)
            )
            for _ in range(150)
        ]
    )
    assert 0.8 < found[:, 1].mean() / found[:, 0].std() < 1.6


def test_precision_and_recall_tell_fidelity_from_coverage() -> None:
    """Reference: two far clusters. Samples in one of them are all real, and leave half of the reference uncovered."""
    near, far = gaussian(100, 2, seed=1), gaussian(100, 2, mean=50.0, seed=2)
    found = set_figures(gaussian(100, 2, seed=3) * 0.5, torch.cat([near, far]))
    assert found.precision > 0.9
    assert found.recall < 0.5
    assert coverage(far + 500, by=near) == 0


def test_reach_is_the_third_neighbour_of_a_point() -> None:
    by = torch.tensor([[0.0], [1.0], [2.0], [3.0], [10.0]])  # reaches 3, 2, 2, 3, 9
    points = torch.tensor([[-3.0], [-3.1], [18.9], [19.1]])
    assert [coverage(point[None], by=by) for point in points] == [1, 0, 1, 0]
