"""Fits the head of the stage `Photograph`, and says what it tells apart.

    python benchmarks/curate_photograph.py [--write]

It learns from pictures that install from Debian and PyPI: the half with even numbers of what `curate_real.py` takes,
and others of the same packages and of games and themes. It is held against the half with odd numbers. With --write it
becomes the package's.
"""

import argparse
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from curate_truth import share
from numpy.typing import NDArray
from PIL import Image
from real_faults import opened
from real_pictures import LARGEST, fetch, pictures
from sklearn.model_selection import KFold

from emu.curate.stages.photograph import HEAD
from emu.judges.efficient_net import EfficientNetLite
from emu.judges.head import Head, write_head
from emu.taste.logistic import fit

PHOTOGRAPHS = {"gcompris-qt-data": "rcc/categorization__*"}
OTHERS = {"openclipart-png": ("**/*.png", 150), "wesnoth-1.16-data": ("**/portraits/**/*.*", 120),
          "hedgewars-data": ("**/*.png", 80), "desktop-base": ("**/*.*", 40), "sway-backgrounds": ("**/*.*", 8),
          "xfdesktop4-data": ("**/*.*", 8), "pysiogame": ("**/art4apps/**/*.jpg", 80),
          "gimp-help-en": ("**/*.png", 60), "tuxpaint-stamps-default": ("**/*.png", 60),
          "mate-backgrounds": ("**/mate/[ad]*/*.*", 20)}  # fmt: skip
SHORTEST = 200  # pixels
LIMITS = (0.02, 0.05, 0.1, 0.2, 0.5)
Matrix = NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "emu-curate-real")
    parser.add_argument("--write", action="store_true", help="put the head into the package")
    given = parser.parse_args()
    eye, cache = EfficientNetLite(), given.work / "packages"
    real = pictures(cache)
    kinds = np.array([one.kind for one in real])
    number = np.array([np.count_nonzero(kinds[:i] == kind) for i, kind in enumerate(kinds)])
    x, y, even = seen(eye, [one.path for one in real], given.work), kinds == "photograph", number % 2 == 0
    more = list(others(cache, {one.path for one in real}))
    x_more, y_more = seen(eye, [path for path, _ in more], given.work), np.array([photo for _, photo in more])
    learned = np.concatenate([x[even], x_more]), np.concatenate([y[even], y_more])
    found = fit(*learned, np.arange(len(learned[0])))
    rate = np.zeros(len(x))
    rate[~even] = found.log_odds(x[~even])
    rate[even] = held_out(*learned)[: even.sum()]
    for line in table(1 / (1 + np.exp(-rate)), kinds, even):
        print(line)
    if given.write:
        write_head(HEAD, Head(found.weight, found.bias, {
            "embedder": "emu.judges.efficient_net.EfficientNetLite", "identity": eye.fingerprint,
            "eye": eye.describe(), "pass": None, "held out": {}, "penalty": found.penalty,
        }))  # fmt: skip


def others(cache: Path, taken: set[Path]) -> Iterator[tuple[Path, bool]]:
    """(path, whether it is a photograph) of pictures that the benchmark does not look at."""
    for package in {*PHOTOGRAPHS, *OTHERS}:
        fetch(package, cache)
    for package, pattern in PHOTOGRAPHS.items():
        yield from ((path, True) for path in sorted((cache / package).glob(pattern)) if fits(path, taken))
    for package, (pattern, most) in OTHERS.items():
        there = sorted((cache / package).glob(pattern))
        random.Random(1).shuffle(there)
        fitting = (path for path in there if fits(path, taken))
        yield from ((path, False) for path, _ in zip(fitting, range(most), strict=False))


def fits(path: Path, taken: set[Path]) -> bool:
    if path in taken or path.is_symlink() or path.suffix.lower() not in (".png", ".jpg", ".webp"):
        return False
    with Image.open(path) as image:
        return min(image.size) >= SHORTEST and image.width * image.height <= LARGEST


def seen(eye: EfficientNetLite, paths: list[Path], work: Path) -> Matrix:
    """(n,1568), by the file's name, so that a second run is short."""
    cache = work / f"seen-{eye.fingerprint}.npz"
    known = dict(np.load(cache)) if cache.exists() else {}
    for path in paths:
        name = str(path.relative_to(work))
        if name not in known:
            known[name] = eye.see(shrunk(opened(path)))
    np.savez(cache, **known)
    return np.array([known[str(path.relative_to(work))] for path in paths], dtype=float)


def shrunk(image: Image.Image) -> Image.Image:
    """As a stage is shown it."""
    from emu.curate.picture import reduced
    from emu.curate.pixels import SIDE

    return reduced(image, SIDE)


def held_out(x: Matrix, y: NDArray[np.bool_]) -> Matrix:
    """(n,) log odds of each by a head that did not see it."""
    rate = np.zeros(len(x))
    for rest, some in KFold(5, shuffle=True, random_state=0).split(x):
        rate[some] = fit(x[rest], y[rest], np.arange(len(rest))).log_odds(x[some])
    return rate


def table(rate: Matrix, kinds: NDArray[np.str_], even: NDArray[np.bool_]) -> Iterator[str]:
    hard = np.isin(kinds, ["art", "render", "wallpaper"])
    yield "| limit | half | photographs lost | renderings and wallpapers kept | other kept |\n" + "|---" * 5 + "|"
    for limit in LIMITS:
        for name, half in (("even, held out", even), ("odd", ~even)):
            photos, others = half & (kinds == "photograph"), half & (kinds != "photograph") & ~hard
            lost, kept = np.count_nonzero(rate[photos] < limit), rate >= limit
            yield (f"| {limit} | {name} | {lost} of {photos.sum()}, {share(lost, photos.sum())} "
                   f"| {(kept & half & hard).sum()} of {(half & hard).sum()} "
                   f"| {(kept & others).sum()} of {others.sum()} |")  # fmt: skip


if __name__ == "__main__":
    main()
