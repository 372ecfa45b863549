"""What people decided, from review.json; which pictures belong together, as no fold may learn what another tests."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from emu.curate.folder import Curated
from emu.errors import UserError
from emu.layouts.curated_folder import original
from emu.layouts.review_json import ReviewOutcome
from emu.storage.shapes import Row

NEAR = 8  # of 64 bits of a perceptual hash


def decisions(review: ReviewOutcome, name: str | None = None) -> dict[str, bool]:
    """File -> whether people keep it; pictures that nobody looked at, or that votes do not decide, are not there.

    Args:
        name: of a pass, for its votes alone, and an arbiter's word over them; without one, what all passes decided.
    """
    passes = [one.name for one in review.passes]
    if name is not None and name not in passes:
        raise UserError(f"--pass {name}: no such pass; there are {', '.join(passes) or 'none'}")
    found: dict[str, bool] = {}
    for picture in review.pictures:
        cast = [votes for of, votes in picture.votes.items() if name in (None, of)]
        keep, reject = sum(one.keep for one in cast), sum(one.reject for one in cast)
        ruled = [one.ruling == "keep" for one in cast if one.ruling]
        if name is not None and (ruled or keep != reject):
            found[picture.file] = ruled[0] if ruled else keep > reject
        elif name is None and keep + reject and (picture.kept or picture.left):
            found[picture.file] = picture.kept
    return found


def groups(curated: Curated, files: list[str]) -> NDArray[np.int64]:
    """A number for each file, equal for pictures with one caption and for those that look alike by their hashes."""
    rows = {row["file_name"]: row for row in curated.rows}
    pairs = np.array([*_captions(files, rows), *_alike(curated, files)])
    graph = coo_array((np.ones(len(pairs)), pairs.T), shape=(len(files), len(files)))
    together: NDArray[np.int64] = connected_components(graph, directed=False)[1]
    return together


def _captions(files: list[str], rows: dict[str, Row]) -> Iterable[tuple[int, int]]:
    first: dict[str, int] = {}
    for i, file in enumerate(files):
        text = " ".join(str(rows[file].get("text") or file).lower().split())
        yield i, first.setdefault(text, i)


def _alike(curated: Curated, files: list[str]) -> Iterable[tuple[int, int]]:
    if "phash" not in curated.columns:
        return
    found = curated.column("phash")
    there = [i for i, file in enumerate(files) if found.get(file) is not None]
    every, first, same = np.unique(
        np.array([found[files[i]] for i in there], dtype=np.uint64), return_index=True, return_inverse=True
    )
    yield from ((there[i], there[first[number]]) for i, number in enumerate(same))
    for number, one in enumerate(every):  # each with all that are near: two of those may be far from each other
        near = np.flatnonzero(np.bitwise_count(every[:number] ^ one) <= NEAR)
        yield from ((there[first[number]], there[first[other]]) for other in near)


def files_of(curated: Curated) -> dict[str, str]:
    """The name that a review has for a picture -> its file: a larger one may stand there now."""
    return {original(row): row["file_name"] for row in curated.rows} | {
        row["file_name"]: row["file_name"] for row in curated.rows
    }
