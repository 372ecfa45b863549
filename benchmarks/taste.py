"""How many looks people need for so many needles: at random, by the funnel's own judge, and by a head that learns.

    python benchmarks/taste.py --pictures 10000 --repeats 5

The haystack and its truth are those of benchmarks/curate.py. A simulated person looks at a picture once and errs once
in ten, either way. The head starts with a random batch, is fitted anew after each further one on what was said by then,
and chooses the next as `emu taste` orders it. A needle counts once it was looked at and kept.

Two tastes: the paper's five qualities, on which the world's own judge of appeal was trained, so that no head can do
better than it; and one of somebody's own, of which no judge knows: all five, and only at sunset or at night.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from curate_haystack import SEED, haystack
from numpy.typing import NDArray
from scipy.special import expit

from emu.judges.world import WorldFeatures
from emu.taste import EXPLORE, FEWEST, order
from emu.taste.embeddings import Embeddings
from emu.taste.held_out import auc
from emu.taste.logistic import fit
from emu.world import World

FIRST = 100  # pictures of the first batch; later ones are a quarter of what was looked at, and at least so many
RANDOM = 400  # looks
ERRS = 0.1
SHARES = (0.25, 0.5, 0.75)  # of a pool's needles
WORLD = World(SEED)
EYES = {"what is shown": ("world-faithfulness",), "how well": ("world-appeal",),
        "both": ("world-faithfulness", "world-appeal")}  # fmt: skip

Array = NDArray[np.float64]
Next = Callable[[NDArray[np.int64], NDArray[np.bool_], int], NDArray[np.int64]]


class Pool:
    """Pictures that people are to look at, and who of them they are to find."""

    def __init__(self, rows: list[dict[str, object]], source: Path, work: Path, *, own: bool) -> None:
        self.files = [str(row["source"]) for row in rows]
        dusk = [WORLD.haystack(int(Path(file).stem)).time in ("sunset", "night") for file in self.files]
        self.needle = np.array([bool(row["needle"]) for row in rows]) & (np.array(dusk) | (not own))
        self.appeal = np.array([row["appeal"] for row in rows], dtype=float)
        self.wanted = [round(share * self.needle.sum()) for share in SHARES]
        _, self.groups = np.unique([str(row["text"]) for row in rows], return_inverse=True)
        self.seen = {name: np.hstack([self._seen(eye, source, work) for eye in eyes]) for name, eyes in EYES.items()}

    def _seen(self, name: str, source: Path, work: Path) -> Array:
        return Embeddings(WorldFeatures(name), work / "seen")(source, self.files)[1]


def looks(pool: Pool, choose: Next, *, seed: int) -> list[int | None]:
    """How many looks until so many needles are kept, for each of those wanted; None where they never are."""
    rng = np.random.default_rng(seed)
    says = pool.needle ^ (rng.random(len(pool.needle)) < ERRS)
    looked = np.empty(0, dtype=np.int64)
    while len(looked) < len(pool.needle) and (pool.needle & says)[looked].sum() < max(pool.wanted):
        batch = FIRST if len(looked) == 0 else max(FIRST, len(looked) // 4)
        looked = np.concatenate([looked, choose(looked, says, batch)])
    found = (pool.needle & says)[looked].cumsum()
    return [int(np.searchsorted(found, n)) + 1 if found[-1] >= n else None for n in pool.wanted]


def fixed(by: Array) -> Next:
    """The highest first, whatever is said."""
    ordered = np.argsort(-by, kind="stable")
    return lambda looked, says, batch: ordered[len(looked) : len(looked) + batch]


def learning(pool: Pool, x: Array, *, seed: int) -> Next:
    """As `emu taste` orders them; at random until there are enough decisions."""
    ordered = np.random.default_rng((seed, 1)).permutation(len(x))

    def choose(looked: NDArray[np.int64], says: NDArray[np.bool_], batch: int) -> NDArray[np.int64]:
        y, known = says[looked], np.isin(np.arange(len(x)), looked)
        if min(y.sum(), (~y).sum()) < FEWEST:
            return ordered[~known[ordered]][:batch]
        head = fit(x[looked], y, pool.groups[looked])
        place = order(expit(head.log_odds(x)), head.spread(x), known, explore=EXPLORE)
        return np.argsort(place)[: min(batch, int((~known).sum()))]

    return choose


def quality(pool: Pool, *, repeats: int) -> None:
    """How well each order tells needles among those that nobody looked at, after RANDOM random looks."""
    told: dict[str, list[float]] = {"appeal of the funnel": [], **{name: [] for name in EYES}}
    for seed in range(repeats):
        rng = np.random.default_rng((seed, 2))
        says = pool.needle ^ (rng.random(len(pool.needle)) < ERRS)
        some = rng.permutation(len(pool.needle))
        looked, rest = some[:RANDOM], some[RANDOM:]
        told["appeal of the funnel"].append(auc(pool.appeal[rest], pool.needle[rest]))
        for name, x in pool.seen.items():
            head = fit(x[looked], says[looked], pool.groups[looked])
            told[name].append(auc(head.log_odds(x[rest]), pool.needle[rest]))
    for name, values in told.items():
        print(f"| {name} | {np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f}) |", flush=True)


def table(pool: Pool, *, repeats: int) -> None:
    rows: dict[str, list[list[int | None]]] = {}
    for seed in range(repeats):
        shuffled = np.random.default_rng((seed, 3)).random(len(pool.needle))
        rows.setdefault("random", []).append(looks(pool, fixed(shuffled), seed=seed))
        rows.setdefault("appeal of the funnel", []).append(looks(pool, fixed(pool.appeal), seed=seed))
        for name, x in pool.seen.items():
            rows.setdefault(name, []).append(looks(pool, learning(pool, x, seed=seed), seed=seed))
    print("| order | " + " | ".join(f"{n} needles" for n in pool.wanted) + " |\n|---|" + "---|" * len(SHARES))
    for name, runs in rows.items():
        cells = []
        for column in zip(*runs, strict=True):
            there = [one for one in column if one is not None]
            spread = f"{np.mean(there):,.0f} ({min(there):,} to {max(there):,})" if there else "-"
            cells.append(spread if len(there) == len(column) else f"{spread}, {len(there)} of {len(column)} runs")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def lenient(work: Path) -> str:
    """`curate/world` that leaves to people who lacks one of the five qualities."""
    config, world = work / "lenient.yaml", Path(__file__).parents[1] / "configs" / "curate" / "world.yaml"
    config.write_text(world.read_text().replace("{appeal: 0.81}", "{appeal: 0.75}"))
    return str(config)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=10000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "emu-curate-benchmark")
    given = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} CPU cores, Python {platform.python_version()}")
    source, out = haystack(given.work / f"hay-{given.pictures}", given.pictures), given.work / "truth"
    config = lenient(given.work)
    subprocess.run([sys.executable, "-m", "emu", "curate", "-c", config, str(source), str(out)], check=True)
    rows = pq.read_table(out / "manifest.parquet").to_pylist()
    for row in rows:
        row |= json.loads(row["source_columns"] or "{}")
    kept = [row for row in rows if row["status"] == "kept"]
    for own in (False, True):
        pool = Pool(kept, source, given.work, own=own)
        taste = "a taste of one's own" if own else "the paper's taste"
        share = f"{pool.needle.sum():,} needles ({100 * pool.needle.mean():.1f} %)"
        print(f"\n{taste}: {len(kept):,} pictures, {share}\n")
        table(pool, repeats=given.repeats)
        print(f"\nAUC of the truth among the rest after {RANDOM:,} random looks\n\n| order | AUC |\n|---|---|")
        quality(pool, repeats=given.repeats)


if __name__ == "__main__":
    main()
