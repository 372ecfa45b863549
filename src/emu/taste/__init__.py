"""Taste: a small head on embeddings of what people kept and rejected; it says what they should look at next.

Into the curated folder go `taste.parquet` (file, score, uncertainty, order) and `taste.safetensors`, the head;
embeddings are kept in `.taste`, by content.
"""

import io
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.special import expit

from emu.curate.folder import Curated, read_curated
from emu.errors import UserError
from emu.judges.embedder import load
from emu.judges.head import Head, HeadCard, write_head
from emu.layouts.curated_folder import HEAD, REVIEW, TASTE
from emu.layouts.review_json import read_review
from emu.storage.files import write
from emu.taste.decisions import decisions, files_of, groups
from emu.taste.embeddings import Embeddings, Matrix
from emu.taste.held_out import Skill, held_out
from emu.taste.logistic import Labels, Logistic, fit
from emu.terminal.counted import many

CACHE = ".taste"
FEWEST = 20  # decisions of each kind
EXPLORE = 0.2  # of what comes next is what the head is least sure of


@dataclass(frozen=True)
class Ranked:
    """What `taste` did: how good the head is; how many pictures are ranked, undecided, unreadable, newly embedded."""

    figures: Skill
    pictures: int
    undecided: int
    unread: int
    embedded: int


def taste(folder: Path, embedder: str, *, name: str | None = None, explore: float = EXPLORE) -> Ranked:
    """Fits a head on the decisions in `review.json`, of one pass or of all, and writes table and head.

    UserError: no curated folder, no review, too few decisions of a kind, an embedder that is none.
    """
    if not 0 <= explore < 1:
        raise UserError(f"--explore {explore:g}: give a share of 0 or more and less than 1")
    curated = read_curated(folder)
    decided = _decided(curated, name)
    eye = load(embedder, where="--embedder", typed=True)
    embeddings = Embeddings(eye, folder / CACHE)
    files, x = embeddings(folder, [row["file_name"] for row in curated.rows])
    known = np.array([file in decided for file in files])
    y = np.array([decided.get(file, False) for file in files])
    _require_enough(folder, y[known])
    fitted, figures = _fitted(curated, [file for file in files if file in decided], x[known], y[known])
    score, spread = expit(fitted.log_odds(x)), fitted.spread(x)
    card: HeadCard = {"embedder": embedder, "identity": eye.fingerprint, "eye": eye.describe(), "pass": name,
            "held out": asdict(figures), "penalty": fitted.penalty}  # fmt: skip
    write_head(folder / HEAD, Head(fitted.weight, fitted.bias, card))
    _write_table(folder / TASTE, files, score, spread, order(score, spread, known, explore=explore))
    return Ranked(figures, len(files), int((~known).sum()), len(curated.rows) - len(files), embeddings.made)


def order(score: Matrix, spread: Matrix, known: Labels, *, explore: float) -> NDArray[np.int64]:
    """The place of each picture, from 0: most likely needles first, and a share of those that the head knows least of.

    Those that nobody decided on come before those that somebody did. Deterministic.
    """
    best, vaguest = (np.argsort(-by, kind="stable").tolist() for by in (score, spread))
    likely, unsure = (iter([i for i in some if not known[i]]) for some in (best, vaguest))
    chosen: dict[int, None] = {}
    for at in range(int((~known).sum())):
        curious = int((at + 1) * explore) > int(at * explore)
        chosen[next(i for i in (unsure if curious else likely) if i not in chosen)] = None
    return np.argsort([*chosen, *(i for i in best if known[i])])


def summary(ranked: Ranked) -> list[str]:
    """For a terminal: how good the head is against chance, in plain words."""
    one = ranked.figures
    auc, accuracy = (f"{low:.2f} to {high:.2f}" for low, high in (one.auc95, one.accuracy95))
    lines = [
        f"{one.kept:,} kept and {one.rejected:,} rejected, in {many(one.groups, 'group')} that no fold divides; "
        f"{many(ranked.embedded, 'picture was', 'pictures were')} new to the embedder",
        f"on decisions held out: AUC {one.auc:.2f} ({auc}; a coin has 0.5), accuracy {one.accuracy:.2f} ({accuracy}; "
        f"to say the commoner one every time has {one.base:.2f})",
    ]
    if not one.better_than_chance:
        lines.append(
            "the head is no better than chance, and its order no better than a random one: keep looking at random"
        )
    if ranked.unread:
        lines.append(
            f"{many(ranked.unread, 'picture')} could not be read and {'is' if ranked.unread == 1 else 'are'} not ranked"
        )
    are = many(ranked.pictures, "picture is", "pictures are")
    return [*lines, f"{are} ranked, of which nobody has decided on {ranked.undecided:,}"]


def _decided(curated: Curated, name: str | None) -> dict[str, bool]:
    review, files = read_review(curated.folder), files_of(curated)
    if not review:
        raise UserError(f"{curated.folder}: no {REVIEW} there; let people look (emu review), and count (--results)")
    return {files[file]: kept for file, kept in decisions(review, name).items() if file in files}


def _require_enough(folder: Path, y: Labels) -> None:
    kept, rejected = int(y.sum()), int((~y).sum())
    if min(kept, rejected) < FEWEST:
        raise UserError(
            f"{folder}: {kept:,} kept and {rejected:,} rejected; a head needs {FEWEST} of each, so let people look on"
        )


def _fitted(curated: Curated, files: list[str], x: Matrix, y: Labels) -> tuple[Logistic, Skill]:
    together = groups(curated, files)
    for kind in (True, False):
        if len(np.unique(together[y == kind])) < 2:
            raise UserError(
                f"{curated.folder}: all {'kept' if kind else 'rejected'} pictures look alike; look at others"
            )
    return fit(x, y, together), held_out(x, y, together)


def _write_table(path: Path, files: list[str], score: Matrix, spread: Matrix, place: NDArray[Any]) -> None:
    table = pa.table({"file": files, "score": score, "uncertainty": spread, "order": place}).sort_by("order")
    stream = io.BytesIO()
    pq.write_table(table, stream)
    write(path, stream.getvalue(), alone=True)
