"""Aspect-ratio buckets: a few shapes of nearly equal area, so that pictures are batched with little cropped away.

After SDXL (https://arxiv.org/abs/2307.01952, section 2.3): sides are multiples of 64, areas near resolution^2.
"""

import math
from collections.abc import Sequence

Bucket = tuple[int, int]  # height, width

LONGEST = 4.0  # the most elongated shape, long side to short side, as in SDXL's own table
LEAST_AREA = 0.8  # of resolution^2; coarse steps at low resolution would otherwise make small odd shapes


def list_buckets(resolution: int, *, step: int = 64) -> list[Bucket]:
    """(height, width) of every bucket, from wide to tall; each area is in [0.8, 1] x resolution^2.

    `resolution` is a multiple of `step`, else ValueError. At 1024 this gives 17 shapes from 512x2048 to 2048x512.
    """
    if resolution < step or resolution % step:
        raise ValueError(f"resolution {resolution} is not a multiple of {step}")
    area = resolution**2
    wide = set()
    for height in range(step, resolution + 1, step):
        width = area // height // step * step
        if width <= LONGEST * height and height * width >= LEAST_AREA * area:
            wide.add((height, width))
    return sorted(wide | {(width, height) for height, width in wide})


def assign(height: int, width: int, buckets: Sequence[Bucket]) -> Bucket:
    """The bucket whose aspect ratio is nearest, in log ratio: the one that crops the smallest share of the picture."""
    ratio = math.log(height / width)
    return min(buckets, key=lambda bucket: (abs(math.log(bucket[0] / bucket[1]) - ratio), -bucket[0] * bucket[1]))
