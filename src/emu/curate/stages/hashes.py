"""Hashes of 64 bits that differ in few of them, among millions, without comparing each with each.

Multi-index hashing (Norouzi et al. 2012): of two hashes that differ in at most d bits, at least one of four bands of 16
differs in at most d // 4. So a hash is looked up under what each of its bands may have become.
"""

from collections.abc import Iterator
from functools import cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Places = NDArray[np.int64]

BANDS, BAND = 4, 16  # bands of a hash, and bits of a band
AT_ONCE = 1 << 20  # pairs that are compared at once: a few tens of megabytes


class Index:
    """Hashes as they are looked up.

    Args:
        hashes: (n,).
        distance: of two that are near, the bits that differ at most.
    """

    def __init__(self, hashes: Hashes, distance: int) -> None:
        self.hashes, self.distance = hashes, distance
        self.bands = [_Band(hashes, number, radius) for number, radius in enumerate(radii(distance))]

    def near(self, asked: Hashes) -> tuple[Places, Places]:
        """(place in `asked`, place in `hashes`) of every pair that is near, in this order."""
        if not len(self.hashes):
            return np.empty(0, np.int64), np.empty(0, np.int64)
        found = [np.empty(0, np.int64)]
        for band in self.bands:
            for mine, others in band.candidates(asked):
                bits = np.bitwise_count(band.hashes[others] ^ asked[mine])
                close = np.flatnonzero(bits <= self.distance)
                found.append(mine[close] * len(self.hashes) + band.order[others[close]])
        pairs = np.unique(np.concatenate(found))  # several bands may lead to one
        return pairs // len(self.hashes), pairs % len(self.hashes)


class _Band:
    """Hashes by what one of their bands is."""

    def __init__(self, hashes: Hashes, number: int, radius: int) -> None:
        self.shift = np.uint64(number * BAND)
        self.changes = changes(radius)
        keys = self._keys(hashes)
        self.order: Places = np.argsort(keys, kind="stable")
        self.hashes = hashes[self.order]  # each key's side by side
        self.starts = np.concatenate([[0], np.cumsum(np.bincount(keys, minlength=1 << BAND))])

    def _keys(self, hashes: Hashes) -> NDArray[np.uint16]:
        return (hashes >> self.shift).astype(np.uint16)

    def candidates(self, asked: Hashes) -> Iterator[tuple[Places, Places]]:
        """(place in `asked`, place in `self.hashes`) of those whose band may be near, AT_ONCE or a key's at a time."""
        keys = (self._keys(asked)[:, None] ^ self.changes).ravel()
        mine = np.repeat(np.arange(len(asked)), len(self.changes))
        first, number = self.starts[keys], self.starts[keys.astype(np.int64) + 1] - self.starts[keys]
        before = np.concatenate([[0], np.cumsum(number)])
        start = 0
        while start < len(keys):
            end = max(start + 1, int(np.searchsorted(before, before[start] + AT_ONCE, side="right")) - 1)
            some = number[start:end]
            within = np.arange(some.sum()) - np.repeat(before[start:end] - before[start], some)
            yield np.repeat(mine[start:end], some), np.repeat(first[start:end], some) + within
            start = end


def radii(distance: int) -> list[int]:
    """Of each band that is looked at, in how many bits it may differ.

    If each of them differed in one more, the hashes would differ in more than `distance`.
    """
    shares = [(distance + 1) // BANDS + (number < (distance + 1) % BANDS) for number in range(BANDS)]
    return [share - 1 for share in shares if share]


@cache
def changes(radius: int) -> NDArray[np.uint16]:
    """All bands that differ from 0 in at most `radius` bits."""
    turned = [bits for number in range(radius + 1) for bits in combinations(range(BAND), number)]
    return np.array([sum(1 << bit for bit in bits) for bits in turned], dtype=np.uint16)


def near_in_order(hashes: Hashes, distance: int) -> tuple[Places, Places]:
    """(place, earlier place) of every pair of hashes that is near, in this order; every pair is looked at."""
    found = [(np.empty(0, np.int64), np.empty(0, np.int64))]
    strip = max(1, AT_ONCE // max(1, len(hashes)))
    for start in range(0, len(hashes), strip):
        bits = np.bitwise_count(hashes[start : start + strip, None] ^ hashes[: start + strip])
        mine, earlier = np.nonzero(bits <= distance)
        before = earlier < mine + start
        found.append((mine[before] + start, earlier[before]))
    mine, earlier = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return mine, earlier
