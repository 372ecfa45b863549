"""Codes that follow what they stand for."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from emu.parts.codebook import Codebook, k_means, nearest

Follow = Callable[[Tensor, Tensor], Tensor]


def alone(book: Codebook) -> Follow:
    """Its step on one device."""
    return partial(book.follow, add=lambda some: some, same=lambda some: some)


def islands(seed: int, number: int = 4000) -> Tensor:
    """(n,2): points close to the corners of a square of side 10."""
    torch.manual_seed(seed)
    return torch.randint(2, (number, 2)) * 10.0 + 0.1 * torch.randn(number, 2)


CORNERS = torch.tensor([[0.0, 0.0], [0.0, 10.0], [10.0, 0.0], [10.0, 10.0]])


def test_codes_that_say_nothing_begin_as_centres_of_the_first_latents() -> None:
    points = islands(0)
    codes = alone(Codebook(8, 2))(torch.rand(8, 2) / 8, points)
    apart = (points - codes[nearest(points, codes)]).square().sum(1).mean()
    assert float(apart) < 0.05


def test_codes_that_know_the_latents_stay() -> None:
    codes = alone(Codebook(4, 2))(CORNERS, islands(0))
    torch.testing.assert_close(codes, CORNERS, rtol=0, atol=0.05)


def test_codes_move_as_what_they_stand_for_moves() -> None:
    follow, codes = alone(Codebook(4, 2)), CORNERS
    for i in range(300):
        codes = follow(codes, islands(i, 100) + 2)
    torch.testing.assert_close(codes, CORNERS + 2, rtol=0, atol=0.3)


def test_a_code_that_stands_for_nothing_moves_onto_a_latent() -> None:
    far = torch.cat([CORNERS, torch.tensor([[99.0, 99.0]])])
    follow, codes = alone(Codebook(5, 2)), far
    for i in range(200):
        codes = follow(codes, islands(i, 100))
    torch.testing.assert_close(codes[4], far[4])  # it waits
    for i in range(400):
        codes = follow(codes, islands(i, 100))
    assert float(codes.max()) < 11


def test_two_devices_step_as_one_does_with_all_latents() -> None:
    points = islands(0)
    one, parts = Codebook(4, 2), points.chunk(2)
    whole = alone(one)(CORNERS, points)

    def sums(chosen: Tensor) -> list[Tensor]:
        empty = torch.zeros(4, 2)
        return [torch.bincount(chosen, minlength=4).float(), empty.index_add_(0, chosen, parts[1])]

    others = iter(sums(nearest(parts[1], CORNERS)))  # what the other device has to add
    split = Codebook(4, 2).follow(CORNERS, parts[0], add=lambda some: some + next(others), same=lambda some: some)
    torch.testing.assert_close(split, whole)


def test_k_means_of_few_points() -> None:
    points = torch.tensor([[0.0], [1.0]])
    assert set(k_means(points, 6).flatten().tolist()) <= {0.0, 0.5, 1.0}
