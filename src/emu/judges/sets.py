"""Measures of two sets of pictures, from what an embedder sees of each: how far apart, and who covers whom.

None of them says that a picture is good. All are features (n,d) against features (m,d), in any embedder's space; their
figures compare with others only at the same embedder, the same preprocessing and the same numbers of pictures.
"""

import math

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

CMMD_SIGMA, CMMD_SCALE = 10.0, 1000.0  # of Jayasumana et al. 2024, for CLIP embeddings of length 1
NEIGHBOURS = 3  # k of Kynkaanniemi et al. 2019
BLOCK = 1024  # rows of a distance matrix in memory at once


def frechet_distance(samples: Tensor, reference: Tensor) -> float:
    """FID in the given features: the Frechet distance of two Gaussians (Heusel et al. 2017, arXiv 1706.08500, eq. 6).

    |mu_1 - mu_2|^2 + Tr(S_1 + S_2 - 2 (S_1 S_2)^(1/2)), by torchmetrics. It is biased upwards, and the more the fewer
    pictures there are; with fewer pictures than d the covariances are singular.
    """
    metric = FrechetInceptionDistance(feature=_Given(samples.shape[1]))
    metric.update(reference, real=True)
    metric.update(samples, real=False)
    return max(0.0, float(metric.compute()))


def kernel_distance(samples: Tensor, reference: Tensor) -> tuple[float, float]:
    """KID in the given features: squared MMD of the cubic kernel (Binkowski et al. 2018, arXiv 1801.01401), unbiased.

    Of all pictures, where the paper takes the mean over subsets. Then its standard deviation were the pictures drawn
    again, by the jackknife, each picture of either side left out in turn: sd over subsets is none where a subset is all
    of a side. The jackknife says too much rather than too little: 1.4 times where both sides are alike.
    """
    n, m = len(samples), len(reference)
    own, other, between, across = (
        _cubic_sums(x, y)
        for x, y in ((samples, samples), (reference, reference), (samples, reference), (reference, samples))
    )
    own, other = own - _cubic(samples, samples), other - _cubic(reference, reference)  # a picture with itself
    inside, outside, cross = float(own.sum()), float(other.sum()), float(between.sum())
    kid = inside / (n * (n - 1)) + outside / (m * (m - 1)) - 2 * cross / (n * m)
    without_one = (
        (inside - 2 * own) / ((n - 1) * (n - 2)) + outside / (m * (m - 1)) - 2 * (cross - between) / ((n - 1) * m),
        inside / (n * (n - 1)) + (outside - 2 * other) / ((m - 1) * (m - 2)) - 2 * (cross - across) / (n * (m - 1)),
    )
    spread = sum(float((left - left.mean()).square().sum()) * (len(left) - 1) / len(left) for left in without_one)
    return kid, math.sqrt(spread)


def cmmd(samples: Tensor, reference: Tensor) -> float:
    """1000 x squared MMD of a Gaussian kernel, sigma 10 (Jayasumana et al. 2024, arXiv 2401.09603, eq. 3), unbiased.

    The paper's features are CLIP ViT-L/14 at 336 pixels; with another embedder it is another scale.
    """
    own = [(_kernel_sum(x, x) - len(x)) / (len(x) * (len(x) - 1)) for x in (samples, reference)]
    between = _kernel_sum(samples, reference) / (len(samples) * len(reference))
    return CMMD_SCALE * (sum(own) - 2 * between)


def coverage(points: Tensor, *, by: Tensor) -> float:
    """Share of points (n,d) within reach of a set (m,d): nearer to one of it than that one's third neighbour.

    Kynkaanniemi et al. 2019, arXiv 1904.06991, eq. 2: samples by reference is precision, reference by samples recall.
    """
    reach = torch.cat(
        [torch.cdist(rows, by.double()).kthvalue(NEIGHBOURS + 1, dim=1).values for rows in by.double().split(BLOCK)]
    )
    inside = [(torch.cdist(rows, by.double()) <= reach).any(1) for rows in points.double().split(BLOCK)]
    return float(torch.cat(inside).double().mean())


def _kernel_sum(first: Tensor, second: Tensor) -> float:
    gamma = 1 / (2 * CMMD_SIGMA**2)
    rows = first.double().split(BLOCK)
    return sum(float(torch.exp(-gamma * torch.cdist(each, second.double()) ** 2).sum()) for each in rows)


def _cubic_sums(first: Tensor, second: Tensor) -> Tensor:
    """For each of the first, the sum of its kernel with all of the second."""
    other = second.double().T
    return torch.cat([((rows @ other / other.shape[0] + 1) ** 3).sum(1) for rows in first.double().split(BLOCK)])


def _cubic(first: Tensor, second: Tensor) -> Tensor:
    """The kernel of each of the first with its own of the second."""
    return ((first.double() * second.double()).sum(1) / first.shape[1] + 1) ** 3


class _Given(nn.Module):
    """In the place of torchmetrics' own network: what comes in are features already."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.num_features = width

    def forward(self, features: Tensor) -> Tensor:
        return features
