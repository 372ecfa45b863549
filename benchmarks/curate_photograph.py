"""Fits the head of the stage `Photograph`, and says what it tells apart.

    python benchmarks/curate_photograph.py [--write]

It learns from pictures that install from Debian and PyPI: the half with even numbers of what `curate_real.py` takes,
and others of the same packages and of games and themes, each in its colours and in grey: black and white is no
drawing. It is held against the half with odd numbers. With --write it becomes the package's.
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
from emu.taste.logistic import Logistic, fit

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
    y, even = kinds == "photograph", number % 2 == 0
    more = list(others(cache, {one.path for one in real}))
    paths = [one.path for one, mine in zip(real, even, strict=True) if mine] + [path for path, _ in more]
    labels = np.concatenate([y[even], [photo for _, photo in more]])
    both = np.stack([seen(eye, paths, given.work, grey=grey) for grey in (False, True)])
    found = learned(both, labels, np.arange(len(labels)))
    rates = np.zeros((2, len(real)))
    rates[:, even] = held_out(both, labels)[:, : even.sum()]
    odd = [one.path for one, mine in zip(real, even, strict=True) if not mine]
    rates[:, ~even] = [found.log_odds(seen(eye, odd, given.work, grey=grey)) for grey in (False, True)]
    for line in table(1 / (1 + np.exp(-rates)), kinds, even):
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


def seen(eye: EfficientNetLite, paths: list[Path], work: Path, *, grey: bool) -> Matrix:
    """(n,1568), by the file's name, so that a second run is short."""
    cache, kind = work / f"seen-{eye.fingerprint}.npz", " in grey" if grey else ""
    known = dict(np.load(cache)) if cache.exists() else {}
    for path in paths:
        name = f"{path.relative_to(work)}{kind}"
        if name not in known:
            small = shrunk(opened(path))
            known[name] = eye.see(small.convert("L").convert("RGB") if grey else small)
    np.savez(cache, **known)
    return np.array([known[f"{path.relative_to(work)}{kind}"] for path in paths], dtype=float)


def shrunk(image: Image.Image) -> Image.Image:
    """As a stage is shown it."""
    from emu.curate.picture import reduced
    from emu.curate.pixels import SIDE

    return reduced(image, SIDE)


def learned(both: Matrix, y: NDArray[np.bool_], some: NDArray[np.int64]) -> Logistic:
    """From some pictures of (2,n,1568), in colour and in grey; a picture's two are never apart in its own folds."""
    x = both[:, some].reshape(-1, both.shape[-1])
    return fit(x, np.tile(y[some], 2), np.tile(some, 2))


def held_out(both: Matrix, y: NDArray[np.bool_]) -> Matrix:
    """(2,n) log odds of each by a head that saw neither of its two."""
    rates = np.zeros(both.shape[:2])
    for rest, some in KFold(5, shuffle=True, random_state=0).split(y):
        found = learned(both, y, rest)
        rates[:, some] = [found.log_odds(x[some]) for x in both]
    return rates


def table(rates: Matrix, kinds: NDArray[np.str_], even: NDArray[np.bool_]) -> Iterator[str]:
    hard, photo = np.isin(kinds, ["art", "render", "wallpaper"]), kinds == "photograph"
    yield "| limit | half | photographs lost | in grey | renderings and wallpapers kept | other kept |"
    yield "|---" * 6 + "|"
    for limit in LIMITS:
        for name, half in (("even, held out", even), ("odd", ~even)):
            (lost, grey), kept = (rates < limit)[:, half & photo].sum(1), rates[0] >= limit
            photos, others = (half & photo).sum(), half & ~photo & ~hard
            yield (f"| {limit} | {name} | {lost} of {photos}, {share(lost, photos)} | {grey} of {photos} "
                   f"| {(kept & half & hard).sum()} of {(half & hard).sum()} "
                   f"| {(kept & others).sum()} of {others.sum()} |")  # fmt: skip


if __name__ == "__main__":
    main()
