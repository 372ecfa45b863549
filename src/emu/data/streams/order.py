"""The order of a stream: pure functions of the seed, the pass and the place, whatever devices and workers read it.

A pass is every part of every shard once, in an order of its own. Passes follow each other without an end, and parts
are dealt to lanes in turn: lane l has parts l, l + lanes, l + 2 lanes, ... of that endless row. A lane's records, one
shard after another, are cut into windows; a window is shuffled and makes batches of one shape each, all of them full.
Batch g of the whole stream is the next one of lane g % lanes.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from emu.data.buckets import Bucket

Numbers = npt.NDArray[np.int64]


class Place(NamedTuple):
    """Where a lane stands: at which record of which part its window begins, and how much of that was handed out.

    Args:
        part: of the endless row of passes.
        record: of that part, those that cannot be used counted too.
        batch: of the window.
        reached: the part of the window's last record, where some of it was handed out.
    """

    part: int
    record: int = 0
    batch: int = 0
    reached: int = 0


class Share(NamedTuple):
    """A part of a shard: its records `number`, `number + of`, ..."""

    shard: int
    number: int
    of: int


def shares(shards: int, lanes: int) -> int:
    """Into how many parts each shard is cut, so that a pass has one at least for every lane."""
    return max(1, math.ceil(lanes / shards))


def share_at(part: int, *, shards: int, lanes: int, seed: int) -> Share:
    """Which part of which shard stands at a place of the endless row."""
    of = shares(shards, lanes)
    passed, place = divmod(part, shards * of)
    shard, number = divmod(int(_shuffled(shards * of, seed, passed)[place]), of)
    return Share(shard, number, of)


@lru_cache(maxsize=4)  # lanes of one process stand in one or two passes
def _shuffled(parts: int, seed: int, passed: int) -> Numbers:
    return np.random.default_rng([seed, 5, passed]).permutation(parts)


def window_size(shuffle: int, batch_size: int) -> int:
    """Records that are shuffled together: about `shuffle` of them, in whole batches."""
    return max(1, round(shuffle / batch_size)) * batch_size


def arranged(
    sizes: Sequence[tuple[int, int]], buckets: Sequence[Bucket], batch_size: int, rng: np.random.Generator
) -> list[tuple[Bucket, list[int]]]:
    """Batches of a window, in the order in which they are handed out: the shape, and which of its pictures.

    Pictures of one shape come together at random, and where their number is no multiple of `batch_size` the rest goes
    with the shape that is next in aspect ratio: so every batch is full, none is lost and none waits for others.

    Args:
        sizes: (height, width) of each picture; their number is a multiple of `batch_size`.
        buckets: the shapes.
        batch_size: pictures a batch.
        rng: decides all that is left to chance.
    """
    shapes = sorted(buckets, key=lambda bucket: bucket[0] / bucket[1])
    ratios = np.log([height / width for height, width in sizes])
    nearest = np.abs(ratios[:, None] - np.log([height / width for height, width in shapes])).argmin(1)
    order = rng.permutation(len(sizes))
    together = order[np.argsort(nearest[order], kind="stable")].reshape(-1, batch_size)
    return [
        (shapes[nearest[group[batch_size // 2]]], [int(i) for i in group])
        for group in together[rng.permutation(len(together))]
    ]
