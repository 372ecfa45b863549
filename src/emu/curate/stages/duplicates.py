"""Exact and near duplicates: of pictures that look the same, the best one stays."""

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from emu.curate.picture import Picture
from emu.curate.stage import Choice, Row, Scores, Selection
from emu.curate.stages.best import rank
from emu.curate.stages.contest import Contest
from emu.curate.stages.hashes import Index, near_in_order
from emu.errors import UserError

BITS = 64
FURTHEST = 10  # bits: beyond, so much of everything is near that all would be compared by their pixels
SEEN = 128  # pixels of the short side, or up to twice as many, from which hash and layout are scaled further
SIDE = 32  # pixels of the layout: colours and light, coarse enough for a copy to keep them
SLACK = 24  # 8-bit levels: where a picture is even, such a difference is as good as none
WORST = 4  # of the layout's pixels speak for all: what differs may be small, such as the hands of a clock
TOGETHER = 4096  # pictures whose hashes are looked up at once
BLOCK = 1024  # pictures whose layouts are compared at once: a few tens of megabytes

Twins = dict[int, tuple[int, str]]  # row of a copy -> the row that it leaves for, and why
Layouts = NDArray[np.int16]  # (n,SIDE,SIDE,3): light and two of colour, in 8-bit levels


class Copies(Selection):
    """Of pictures that are copies of each other the best one stays: a picture leaves for one that stays, never for one
    that leaves itself, so that chains of look-alikes do not swallow what differs.

    Args:
        by: column -> weight: who stays, as in `Best`; empty takes the largest. Of equal ones the earlier.
        known_by: the columns by which copies are known.
    """

    def __init__(self, by: dict[str, float] | None, *known_by: str) -> None:
        self.by = by or {}
        self.reads, self.numbers = (*known_by, "width", "height", *self.by), tuple(self.by)

    @abstractmethod
    def twins(self, scores: Scores, rows: NDArray[np.int64]) -> Twins:
        """Of rows, the best first: the row of a copy -> the row that it leaves for, and why; the best copies first."""

    def choose(self, scores: Scores, there: NDArray[np.bool_]) -> Choice:
        rows = np.flatnonzero(there)
        pixels = scores["width"][rows].astype(np.int64) * scores["height"][rows].astype(np.int64)
        first = rank(scores, rows, self.by) if self.by else pixels
        found = self.twins(scores, rows[np.lexsort((rows, -first))]) if len(rows) else {}
        leaves = np.zeros(len(there), dtype=bool)
        leaves[list(found)] = True
        reasons = {row: words for row, (_, words) in found.items()}
        return Choice(leaves, reasons, twins={row: twin for row, (twin, _) in found.items()})


class Duplicates(Copies):
    """Same bytes by sha256; same looks by a perceptual hash of 64 bits (pHash, imagehash) that differs in at most
    `distance`, confirmed by the colours and the light of 32 x 32 places.

    A hash of lightness alone takes a shop's lamps in eight colours, or a circle and a clock, for one picture. Scaled,
    recompressed and slightly retouched copies are found; cropped, re-graded, mirrored and turned ones are not.

    Of copies the one stays that is plainly better than the others, as a `Contest` has it, two at a time; where none is,
    the best one by `by`.

    Args:
        distance: bits, 0 to 10; -1 looks at the bytes alone.
        apart: how far two layouts may be from each other, in what a picture itself changes from place to place.
        by: who stays of those that are as good, as in `Copies`.
        worse_by, detail: as in `Contest`; for `detail` the config has the stage `Detail`.
    """

    name = "duplicates"
    columns = {"phash": "uint64", "layout": "binary"}
    side = SEEN
    packages = {"imagehash": "curate"}

    def __init__(
        self,
        distance: int = 6,
        apart: float = 0.25,
        by: dict[str, float] | None = None,
        worse_by: dict[str, float] | None = None,
        detail: bool = False,
    ) -> None:
        if not -1 <= distance <= FURTHEST:
            raise UserError(f"stage {self.name}: distance {distance}: -1 to {FURTHEST}; further apart is no copy")
        if zero := [column for column, margin in (worse_by or {}).items() if not margin]:
            raise UserError(f"stage {self.name}: worse_by {zero[0]}: by how much more is worse, or -N for less")
        self.distance, self.apart, self.contest = distance, apart, Contest(worse_by or {}, detail)
        super().__init__(by, "sha256", "phash", "layout", *self.contest.reads)
        self.numbers = (*self.numbers, *self.contest.worse_by)

    def measure(self, picture: Picture) -> Row:
        import imagehash

        small = picture.small(SEEN)
        bits = imagehash.phash(small).hash.ravel()
        layout = small.convert("YCbCr").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        return {"phash": int.from_bytes(np.packbits(bits).tobytes(), "big"), "layout": layout.tobytes()}

    def twins(self, scores: Scores, rows: NDArray[np.int64]) -> Twins:
        found = self._same_bytes(scores["sha256"], rows)
        if self.distance >= 0:
            rest = rows[[row not in found for row in rows.tolist()]]
            looks = self._same_looks(scores, rest)
            better = self._better_first(scores, rest, looks)
            found |= looks if np.array_equal(better, rest) else self._same_looks(scores, better)
        return found

    @staticmethod
    def _same_bytes(sha256: NDArray[Any], rows: NDArray[Any]) -> Twins:
        """Row -> (the first row with its bytes, the reason)."""
        first: dict[Any, int] = {}
        pairs = ((row, first.setdefault(sha256[row], row)) for row in rows.tolist())
        return {row: (twin, f"the same bytes as row {twin}") for row, twin in pairs if twin != row}

    def _better_first(self, scores: Scores, rows: NDArray[np.int64], found: Twins) -> NDArray[np.int64]:
        """The rows, but of each with its copies the winner has the first of their places."""
        order, place = rows.copy(), np.zeros(rows.max(initial=0) + 1, dtype=np.int64)
        place[rows] = np.arange(len(rows))
        copies = defaultdict[int, list[int]](list)
        for row in sorted(found, key=place.__getitem__):
            copies[found[row][0]].append(row)
        for first, others in copies.items():
            best = reduce(lambda best, one: one if self.contest.wins(scores, one, best) else best, others, first)
            mine = [first, *others]
            order[sorted(place[row] for row in mine)] = [best, *(row for row in mine if row != best)]
        return order

    def _same_looks(self, scores: Scores, rows: NDArray[np.int64]) -> Twins:
        """The same of those that look like an earlier one that stays: the one whose layout is nearest."""
        phash, layout = scores["phash"][rows].astype(np.uint64), scores["layout"]
        found: Twins = {}
        stays = np.empty(0, dtype=np.int64)  # places in `rows`
        for start in range(0, len(rows), TOGETHER):
            new = phash[start : start + TOGETHER]
            near = Index(phash[stays], self.distance).near(new)
            earlier = defaultdict[int, list[int]](list)  # place -> the places before it that are near, in their order
            for at, place in zip(near[0] + start, stays[near[1]], strict=True):
                earlier[int(at)].append(int(place))
            for at, place in zip(*near_in_order(new, self.distance), strict=True):
                earlier[int(at) + start].append(int(place) + start)
            leaves = set[int]()
            for at in sorted(earlier):
                others = [place for place in earlier[at] if place not in leaves]
                best, distance = nearest(layout[rows[at]], [layout[rows[place]] for place in others])
                if distance <= self.apart:
                    leaves.add(at)
                    twin, bits = int(rows[others[best]]), int(phash[at] ^ phash[others[best]]).bit_count()
                    differ = f"{bits} of {BITS} bits and {distance:.2f} of the layout differ"
                    found[int(rows[at])] = twin, f"looks like row {twin} ({differ})"
            places = np.arange(start, start + len(new))
            stays = np.concatenate([stays, places[~np.isin(places, list(leaves))]])
        return found


def nearest(layout: bytes, others: Sequence[bytes]) -> tuple[int, float]:
    """The place of the nearest of other layouts, and how far it is; infinitely far where there are none."""
    mine = layouts([layout])
    found = [apart(mine, layouts(others[start : start + BLOCK])) for start in range(0, len(others), BLOCK)]
    distances = np.concatenate([*found, [np.inf]])
    best = int(distances.argmin())
    return best, float(distances[best])


def layouts(stored: Sequence[bytes]) -> Layouts:
    """n of bytes -> (n,SIDE,SIDE,3)."""
    whole = np.frombuffer(b"".join(stored), dtype=np.uint8)
    return whole.reshape(-1, SIDE, SIDE, 3).astype(np.int16)


def apart(one: Layouts, others: Layouts) -> NDArray[np.float64]:
    """(1,...) and (n,...) -> (n,): the mean of the WORST places' differences, each in units of SLACK and of what either
    picture changes between there and the places around: edges move when a picture is scaled, and even ground does not.
    """
    change = np.maximum(changes(one), changes(others))
    differences = (np.abs(others - one) / (SLACK + change)).max(axis=3).reshape(len(others), -1)
    worst: NDArray[np.float64] = np.partition(differences, -WORST, axis=1)[:, -WORST:].mean(axis=1)
    return worst


def changes(layouts: Layouts) -> Layouts:
    """For each place and channel: the range of the 3 x 3 places around."""
    padded = np.pad(layouts, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    around = [padded[:, i : i + SIDE, j : j + SIDE] for i in range(3) for j in range(3)]
    found: Layouts = np.max(around, axis=0) - np.min(around, axis=0)
    return found
