"""Exact and near duplicates: of pictures that look the same, the largest one stays."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emu.curate.picture import Picture
from emu.curate.stage import Choice, Row, Scores, Selection
from emu.errors import UserError

BITS = 64
FURTHEST = 10  # bits: beyond, pictures that differ begin to look alike, and bands grow short
SEEN = 128  # pixels of the short side, or up to twice as many, from which the hash is scaled further


class Duplicates(Selection):
    """Same bytes by sha256; same looks by a perceptual hash of 64 bits (pHash, imagehash), at most `distance` apart.

    A picture leaves for one that stays, never for one that leaves itself: chains of look-alikes do not swallow what
    differs. Scaled, recompressed and slightly retouched copies are found; cropped, mirrored and turned ones are not.

    Args:
        distance: bits, 0 to 10; -1 looks at the bytes alone.
    """

    name = "duplicates"
    columns = {"phash": "uint64"}
    reads = ("sha256", "phash", "width", "height")
    side = SEEN
    packages = {"imagehash": "curate"}

    def __init__(self, distance: int = 6) -> None:
        if not -1 <= distance <= FURTHEST:
            raise UserError(f"stage {self.name}: distance {distance}: -1 to {FURTHEST}; further apart is no copy")
        self.distance = distance

    def measure(self, picture: Picture) -> Row:
        import imagehash

        bits = imagehash.phash(picture.small(SEEN)).hash.ravel()
        return {"phash": int.from_bytes(np.packbits(bits).tobytes(), "big")}

    def choose(self, scores: Scores, there: NDArray[np.bool_]) -> Choice:
        rows = np.flatnonzero(there)
        pixels = scores["width"][rows].astype(np.int64) * scores["height"][rows].astype(np.int64)
        leaves, reasons = np.zeros(len(there), dtype=bool), {}
        exact: dict[Any, int] = {}
        near = Near(self.distance)
        for row in rows[np.lexsort((rows, -pixels))].tolist():
            phash = int(scores["phash"][row])
            if (twin := exact.setdefault(scores["sha256"][row], row)) != row:
                reasons[row] = f"the same bytes as row {twin}"
            elif self.distance >= 0 and (found := near.find(phash)) is not None:
                reasons[row] = f"looks like row {found[0]} ({found[1]} of {BITS} bits differ)"
            else:
                near.add(phash, row)
        leaves[list(reasons)] = True
        return Choice(leaves, reasons)


class Near:
    """Hashes to be found again by others that differ in at most `distance` bits.

    Cut into distance + 1 bands, two such hashes are equal in one of them; so only those are compared.
    """

    def __init__(self, distance: int) -> None:
        self.distance = distance
        edges = [BITS * i // (distance + 1) for i in range(distance + 2)] if distance >= 0 else []
        self.bands = [(low, (1 << (high - low)) - 1) for low, high in zip(edges, edges[1:], strict=False)]
        self.known: list[dict[int, list[tuple[int, int]]]] = [{} for _ in self.bands]

    def find(self, phash: int) -> tuple[int, int] | None:
        """(row, bits apart) of the nearest known hash, the earliest of equally near ones."""
        best: tuple[int, int] | None = None
        for (low, mask), known in zip(self.bands, self.known, strict=True):
            for other, row in known.get(phash >> low & mask, ()):
                apart = (phash ^ other).bit_count()
                if apart <= self.distance and (best is None or (apart, row) < (best[1], best[0])):
                    best = row, apart
        return best

    def add(self, phash: int, row: int) -> None:
        for (low, mask), known in zip(self.bands, self.known, strict=True):
            known.setdefault(phash >> low & mask, []).append((phash, row))
