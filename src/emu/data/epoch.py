"""One epoch as a list of batches: pure functions of the buckets, the seed, the epoch and the rank.

Every picture occurs once over all ranks, none is dropped, all ranks make equally many batches, and at every step all
ranks hold pictures of one bucket, equally many of them. Which pictures an optimizer step sees, and in which order the
steps come, depends on how many it sees in all, and not on the ranks and accumulated batches that share them.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from emu.data.buckets import Bucket


class Draw(NamedTuple):
    """One place in a batch."""

    picture: int  # which one
    seed: int = 0  # of every random number that is the picture's own this time: noise, times, masks
    weight: float = 1.0  # 0 for a filler
    drop: bool = False  # whether its caption becomes ""
    time: float | None = None  # in [0,1), where it is not drawn


Batch = list[Draw]
Pictures = npt.NDArray[np.int64]  # indices of pictures


def in_order(
    buckets: Sequence[Bucket], *, batch_size: int, seed: int = 0, rank: int = 0, world: int = 1
) -> list[Batch]:
    """This rank's batches, bucket by bucket, unshuffled; `buckets[i]` is the bucket of picture i.

    Seeds and times are the pictures' own: of n pictures, number i has the middle of the i-th of n equal parts of [0,1).
    """
    seeds = _seeds([seed, 3], len(buckets))
    chunks = [chunk for group in _groups(buckets) for chunk in _chunks(group, batch_size * world)]
    return [
        [draw._replace(time=(draw.picture + 0.5) / len(buckets)) for draw in _with_seeds(batch, seeds)]
        for chunk in chunks
        for batch in _shares(chunk, 1, rank, world)
    ]


def shuffled(
    buckets: Sequence[Bucket],
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    accumulate: int = 1,
    caption_dropout: float = 0.0,
    rank: int = 0,
    world: int = 1,
) -> list[Batch]:
    """This rank's batches of one epoch: pictures shuffled within their bucket, and the steps among each other.

    `accumulate` batches make an optimizer step, of at most `batch_size * accumulate * world` pictures in all. A
    bucket's steps are as even as they can be: 70 pictures make 35 and 35 rather than 64 and 6. Whether a caption is
    dropped, and the seed, depend on (seed, epoch, picture) alone.
    """
    order = np.random.default_rng([seed, epoch, 0])
    dropped = np.random.default_rng([seed, epoch, 1]).random(len(buckets)) < caption_dropout
    seeds = _seeds([seed, epoch, 2], len(buckets))
    most = batch_size * accumulate * world
    steps = [chunk for group in _groups(buckets) for chunk in _chunks(order.permutation(group), most)]
    return [
        [draw._replace(drop=bool(dropped[draw.picture])) for draw in _with_seeds(batch, seeds)]
        for i in order.permutation(len(steps))
        for batch in _shares(steps[i], accumulate, rank, world)
    ]


def _groups(buckets: Sequence[Bucket]) -> list[Pictures]:
    groups: dict[Bucket, list[int]] = {}
    for picture, bucket in enumerate(buckets):
        groups.setdefault(bucket, []).append(picture)
    return [np.array(groups[bucket]) for bucket in sorted(groups)]


def _chunks(pictures: Pictures, most: int) -> list[Pictures]:
    return np.array_split(pictures, -(-len(pictures) // most))


def _shares(step: Pictures, accumulate: int, rank: int, world: int) -> Iterator[Batch]:
    """This rank's part of each of the batches that make one optimizer step.

    The weights are such that the mean over batches and ranks of `(weight * loss).mean()` is the mean loss of the real
    pictures: `accumulate * world * local / real`, with `local` places in a batch and `real` pictures in the step.
    Where the step has too few pictures a place is filled by its first one, of weight 0.
    """
    for chunk in np.array_split(step, accumulate):
        local = max(1, -(-len(chunk) // world))
        mine = [Draw(int(i), weight=accumulate * world * local / len(step)) for i in chunk[rank::world]]
        yield mine + [Draw(int(step[0]), weight=0.0)] * (local - len(mine))


def _seeds(of: Sequence[int], count: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng(of).integers(2**63 - 1, size=count)


def _with_seeds(batch: Batch, seeds: npt.NDArray[np.int64]) -> Batch:
    return [draw._replace(seed=int(seeds[draw.picture])) for draw in batch]
