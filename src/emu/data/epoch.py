"""One epoch as a list of batches: pure functions of the buckets, the seed, the epoch and the rank.

Every picture occurs once over all ranks, none is dropped, all ranks make equally many batches, and at every step all
ranks hold pictures of one bucket, equally many of them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from emu.data.buckets import Bucket


class Draw(NamedTuple):
    """One place in a batch."""

    picture: int  # which one
    weight: float = 1.0  # 0 for a filler
    drop: bool = False  # whether its caption becomes ""


Batch = list[Draw]
Pictures = npt.NDArray[np.int64]  # indices of pictures


def in_order(buckets: Sequence[Bucket], *, batch_size: int, rank: int = 0, world: int = 1) -> list[Batch]:
    """This rank's batches, bucket by bucket, unshuffled; `buckets[i]` is the bucket of picture i."""
    return [_share(chunk, rank, world) for group in _groups(buckets) for chunk in _chunks(group, batch_size * world)]


def shuffled(
    buckets: Sequence[Bucket],
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    caption_dropout: float = 0.0,
    rank: int = 0,
    world: int = 1,
) -> list[Batch]:
    """This rank's batches of one epoch: pictures shuffled within their bucket, and the batches among each other.

    A picture's caption is dropped by (seed, epoch, picture) alone, so a resumed run, or one on more ranks, repeats it.
    """
    order = np.random.default_rng([seed, epoch, 0])
    dropped = np.random.default_rng([seed, epoch, 1]).random(len(buckets)) < caption_dropout
    chunks = [chunk for group in _groups(buckets) for chunk in _chunks(order.permutation(group), batch_size * world)]
    return [
        [draw._replace(drop=bool(dropped[draw.picture])) for draw in _share(chunks[i], rank, world)]
        for i in order.permutation(len(chunks))
    ]


def _groups(buckets: Sequence[Bucket]) -> list[Pictures]:
    groups: dict[Bucket, list[int]] = {}
    for picture, bucket in enumerate(buckets):
        groups.setdefault(bucket, []).append(picture)
    return [np.array(groups[bucket]) for bucket in sorted(groups)]


def _chunks(pictures: Pictures, size: int) -> list[Pictures]:
    return [pictures[i : i + size] for i in range(0, len(pictures), size)]


def _share(chunk: Pictures, rank: int, world: int) -> Batch:
    """This rank's part of one step's pictures.

    The weights are such that the mean over ranks of `(weight * loss).mean()` is the mean loss of the real pictures:
    with `local` places on each rank and `real` pictures in all, that is `world * local / real`.
    """
    local = -(-len(chunk) // world)
    weight = world * local / len(chunk)
    mine = [Draw(int(picture), weight) for picture in chunk[rank::world]]
    return mine + [Draw(int(chunk[0]), weight=0.0)] * (local - len(mine))
