"""The codebook of a tokenizer, which follows the latents that it stands for instead of a gradient.

Each code is the moving mean of the latents nearest to it (van den Oord et al. 2017, arXiv 1711.00937, appendix A.1),
begins as a k-means centre of the first ones, and moves onto a latent where it stands for none any more.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

MEMORY = 0.99  # of what a code stands for, from step to step
DEAD = 0.01  # latents a step, on average, below which a code stands for none
NEW = 0.5  # of the latents' variance: codes that leave more of it than this say nothing of them yet
ROUNDS = 10  # of k-means


class Codebook(nn.Module):
    """What each code stands for: moving numbers and sums of latents, as buffers.

    Args:
        codes: how many.
        width: numbers a code.
    """

    number: Tensor  # (k,) latents a step
    total: Tensor  # (k,w) their sum

    def __init__(self, codes: int, width: int) -> None:
        super().__init__()
        self.register_buffer("number", torch.zeros(codes))
        self.register_buffer("total", torch.zeros(codes, width))

    @torch.no_grad()
    def follow(
        self, codes: Tensor, latents: Tensor, *, add: Callable[[Tensor], Tensor], same: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """The codes after a step, (k,w).

        Args:
            codes: before it, (k,w).
            latents: of this device, (n,w).
            add: a tensor -> its sum over all devices.
            same: a tensor -> the first device's, which all go on with.
        """
        if not bool(self.number.any()):
            codes = self._begin(codes, latents, same)
        chosen = nearest(latents, codes)
        number = torch.bincount(chosen, minlength=len(codes)).to(latents.dtype)
        total = torch.zeros_like(codes).index_add_(0, chosen, latents)
        self.number.lerp_(add(number), 1 - MEMORY)
        self.total.lerp_(add(total), 1 - MEMORY)
        dead = (self.number < DEAD).nonzero().flatten()
        if len(dead):
            self._stand_for(dead, same(drawn(latents, len(dead))))
        return self.total / self.number[:, None]

    def _begin(self, codes: Tensor, latents: Tensor, same: Callable[[Tensor], Tensor]) -> Tensor:
        left = (latents - codes[nearest(latents, codes)]).square().sum()
        new = left > NEW * (latents - latents.mean(0)).square().sum()
        if bool(same(new)):
            codes = same(k_means(latents, len(codes)))
        self._stand_for(torch.arange(len(codes), device=codes.device), codes)
        return codes

    def _stand_for(self, which: Tensor, latents: Tensor) -> None:
        self.number[which] = 1.0  # a latent a step: about 450 steps pass until one that stands for none is dead again
        self.total[which] = latents


def nearest(points: Tensor, centres: Tensor) -> Tensor:
    """int64 (n,): which centre of (k,w) is nearest to each point of (n,w)."""
    return torch.cat([torch.cdist(some, centres).argmin(1) for some in points.split(8192)])


def drawn(points: Tensor, number: int) -> Tensor:
    """`number` of the points at random, some of them more than once."""
    return points[torch.randint(len(points), (number,), device=points.device)]


def k_means(points: Tensor, number: int, rounds: int = ROUNDS) -> Tensor:
    """(number,w): means of the points of (n,w) nearest to each; one that has none is drawn anew from the points."""
    centres = drawn(points, number)
    for _ in range(rounds):
        chosen = nearest(points, centres)
        total = torch.zeros_like(centres).index_add_(0, chosen, points)
        size = torch.bincount(chosen, minlength=number)[:, None]
        centres = torch.where(size > 0, total / size.clamp(min=1), drawn(points, number))
    return centres
