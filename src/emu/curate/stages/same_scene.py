"""Near duplicates that a perceptual hash does not know, by what an embedder sees: crops, re-graded, turned ones."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emu.curate.picture import Picture
from emu.curate.pixels import SIDE, embeddings, load_embedder
from emu.curate.stage import Choice, Row, Scores
from emu.curate.stages.duplicates import Copies
from emu.errors import UserError

BLOCK = 1024  # pictures that are compared with so many others at once: a few megabytes
NAMED = 12  # rows of a scene that a reason names
VIEWS = (1, 2, 8)

Vectors = NDArray[np.floating[Any]]


class SameScene(Copies):
    """Of pictures whose embeddings have a cosine of at least `cosine` the best one stays: the first by `by`, or the
    largest.

    All that are still there are compared with all that stay: time grows with the square of their number, memory by 4 d
    bytes a picture for embeddings of d numbers.

    Args:
        embedder: a CLIP or SigLIP by hub name or folder, or CLASS_PATH[:ARG] of any other.
        cosine: how near is the same; it depends on the embedder, so look at the pairs that it finds.
        by: who stays, as in `Copies`.
        views: 1; 2 embeds the mean of a picture and its mirror image; 8 that of all turns by right angles and mirrors,
            so that none of them hides a copy, at so many times the cost.
        batch: pictures that the embedder is shown together.
    """

    name = "same scene"
    columns = {"embedding": "binary"}
    side = SIDE

    def __init__(
        self,
        embedder: str = "openai/clip-vit-large-patch14",
        cosine: float = 0.95,
        by: dict[str, float] | None = None,
        views: int = 1,
        batch: int = 16,
    ) -> None:
        if views not in VIEWS:
            raise UserError(f"stage {self.name}: views {views}: one of {', '.join(map(str, VIEWS))}")
        super().__init__(by, "embedding")
        self.embedder, self.cosine, self.views, self.batch = embedder, cosine, views, batch

    def require(self) -> None:
        super().require()
        load_embedder(self.embedder).require()

    def measure_many(self, pictures: Sequence[Picture]) -> list[Row]:
        found = embeddings(self.embedder, pictures, views=self.views).numpy().astype("<f2")
        return [{"embedding": one.tobytes()} for one in found]

    def twins(self, scores: Scores, rows: NDArray[np.int64]) -> dict[int, tuple[int, str]]:
        vectors = np.stack([np.frombuffer(scores["embedding"][row], "<f2") for row in rows])
        found = leaders(vectors, self.cosine)
        scenes = defaultdict(list)
        for at, (twin, _) in found.items():
            scenes[twin].append(int(rows[at]))

        named = {
            twin: _few([int(rows[twin]), *others]) for twin, others in scenes.items()
        }  # once: a scene may be large

        def words(twin: int, cosine: float) -> str:
            return f"shows what row {rows[twin]} shows (cosine {cosine:.3f}), of rows {named[twin]}"

        return {int(rows[at]): (int(rows[twin]), words(twin, cosine)) for at, (twin, cosine) in found.items()}

    def choose(self, scores: Scores, there: NDArray[np.bool_]) -> Choice:
        choice = super().choose(scores, there)
        scenes = len(set(choice.twins.values()))
        notes = {"scenes shown more than once": scenes, "pictures of them": len(choice.twins)} if there.any() else {}
        return replace(choice, notes=notes)


def leaders(vectors: Vectors, cosine: float) -> dict[int, tuple[int, float]]:
    """Vectors (n,d), best first -> those near to a better one that stays: place -> (the nearest such place, cosine)."""
    stay, found = list[int](), dict[int, tuple[int, float]]()
    for start in range(0, len(vectors), BLOCK):
        block = _unit(vectors[start : start + BLOCK])
        best, which = np.full(len(block), -np.inf, dtype=np.float32), np.zeros(len(block), dtype=np.int64)
        for low in range(0, len(stay), BLOCK):
            some = np.array(stay[low : low + BLOCK])
            cosines = block @ _unit(vectors[some]).T
            at = cosines.argmax(1)
            value = cosines[np.arange(len(block)), at]
            best, which = np.where(value > best, value, best), np.where(value > best, some[at], which)
        among, mine = block @ block.T, np.zeros(len(block), dtype=bool)
        for i in range(len(block)):
            if mine.any() and (near := np.where(mine, among[i], -np.inf)).max() > best[i]:
                best[i], which[i] = near.max(), start + int(near.argmax())
            if best[i] >= cosine:
                found[start + i] = int(which[i]), float(best[i])
            else:
                mine[i] = True
                stay.append(start + i)
    return found


def _unit(vectors: Vectors) -> NDArray[np.float32]:
    """Of length 1 again, which halves of floats are only nearly; 0 where a vector has no direction, near to none then.

    NaN would be taken for the nearest of all that it is compared beside.
    """
    exact: NDArray[np.float32] = vectors.astype(np.float32)
    length = np.linalg.norm(exact, axis=1, keepdims=True)
    directed = np.isfinite(length) & (length > 0)
    unit: NDArray[np.float32] = np.divide(exact, length, out=np.zeros_like(exact), where=directed)
    return unit


def _few(rows: list[int]) -> str:
    named = ", ".join(map(str, sorted(rows)[:NAMED]))
    return f"{named} and {len(rows) - NAMED:,} more" if len(rows) > NAMED else named
