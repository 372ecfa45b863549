"""Real pictures that install from Debian and PyPI, for `benchmarks/curate_real.py`: photographs, and what is none.

Packages are unpacked into a cache of the machine's own and never committed: each has its own licence (see the folder
`usr/share/doc` of each), mostly CC-BY-SA, GPL-2+ or public domain.
"""

import random
import re
import struct
import subprocess
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ["mate-backgrounds", "plasma-workspace-wallpapers", "lomiri-wallpapers-16.04", "lomiri-wallpapers-20.04",
            "gcompris-qt-data", "openclipart-png", "tuxpaint-stamps-default", "ukui-wallpapers", "gnome-backgrounds",
            "gimp-help-en"]  # fmt: skip

PHOTOGRAPHS = [
    "mate-backgrounds/usr/share/backgrounds/mate/nature/*.jpg",
    *(f"plasma-workspace-wallpapers/usr/share/wallpapers/{name}/contents/images/2560x1600.jpg"
      for name in ("FallenLeaf", "Path", "DarkestHour", "summer_1am", "EveningGlow", "Grey", "Kite", "ColorfulCups",
                   "OneStandsOut", "ColdRipple", "BytheWater")),
    "lomiri-wallpapers-16.04/usr/share/backgrounds/*.jpg", "lomiri-wallpapers-20.04/usr/share/backgrounds/Kleiber*",
    "gcompris-qt-data/rcc/erase__*", "gcompris-qt-data/rcc/explore_*", "gcompris-qt-data/rcc/clickgame__sea*",
    "skimage/astronaut.png", "skimage/camera.png",
]  # fmt: skip
NO_PHOTOGRAPHS = re.compile("umang|world_music__(africa|middleeast)|analogpattern")  # a gradient, cut-outs, a texture
CHAFF = {  # kind -> (pattern, at most so many)
    "clip art": ("openclipart-png/usr/share/openclipart/png/**/*.png", 120),
    "stamp": ("tuxpaint-stamps-default/usr/share/tuxpaint/stamps/**/*.png", 30),
    "screenshot": ("gimp-help-en/**/*.png", 72),
    "drawing": ("gcompris-qt-data/rcc/lang__*", 60),
    "figure": ("skimage/*.png", 20),
    "render": ("gnome-backgrounds/usr/share/backgrounds/gnome/*.webp", 14),
    "wallpaper": ("ukui-wallpapers/usr/share/backgrounds/*.*", 12),
    "art": ("plasma-workspace-wallpapers/usr/share/wallpapers/*/contents/images/*.png", 20),
}
SHORTEST, LARGEST = 512, 20_000_000  # short side and pixels of what is taken
FIGURES = {"cell", "chessboard_GRAY", "chessboard_RGB", "color", "horse", "ihc", "logo", "moon", "phantom", "page",
           "text", "microaneurysms", "clock_motion", "retina"}  # fmt: skip


@dataclass(frozen=True)
class Real:
    """A picture of the haystack."""

    path: Path
    subject: str
    kind: str  # "photograph", or what it is instead


def pictures(cache: Path) -> list[Real]:
    """Photographs first, then chaff; what is not there yet is fetched with apt-get."""
    import skimage.data

    for package in PACKAGES:
        fetch(package, cache)
    (cache / "skimage").is_symlink() or (cache / "skimage").symlink_to(Path(skimage.data.__file__).parent)
    return [*photographs(cache), *chaff(cache)]


def fetch(package: str, cache: Path) -> None:
    """Unpacks a Debian package into `cache/PACKAGE`."""
    folder = cache / package
    if folder.exists():
        return
    cache.mkdir(parents=True, exist_ok=True)
    subprocess.run(["apt-get", "download", package], cwd=cache, check=True, stderr=subprocess.DEVNULL)
    (archive,) = cache.glob(f"{package}_*.deb")
    beside = cache / f".{package}"
    subprocess.run(["dpkg-deb", "-x", archive, beside], check=True)
    for resource in beside.glob("usr/share/gcompris-qt/rcc/*.rcc"):
        for name, content in resources(resource.read_bytes()):
            if name.endswith((".jpg", ".png", ".webp")):
                (beside / "rcc").mkdir(exist_ok=True)
                (beside / "rcc" / f"{resource.stem}__{Path(name).name}").write_bytes(content)
    archive.unlink()
    beside.rename(folder)


def resources(rcc: bytes) -> Iterator[tuple[str, bytes]]:
    """The files of a Qt resource archive."""
    magic, version, tree, data, names = struct.unpack_from(">4sIIII", rcc)
    assert magic == b"qres"
    node = 22 if version >= 2 else 14

    def name(at: int) -> str:
        start = names + struct.unpack_from(">I", rcc, tree + at * node)[0]
        return rcc[start + 6 : start + 6 + 2 * struct.unpack_from(">H", rcc, start)[0]].decode("utf-16-be")

    def walk(at: int, path: str) -> Iterator[tuple[str, bytes]]:
        (flags,) = struct.unpack_from(">H", rcc, tree + at * node + 4)
        first, second = struct.unpack_from(">II", rcc, tree + at * node + 6)
        if flags & 2:
            for child in range(second, second + first):
                yield from walk(child, f"{path}/{name(child)}")
            return
        start = data + second
        content = rcc[start + 4 : start + 4 + struct.unpack_from(">I", rcc, start)[0]]
        yield path, zlib.decompress(content[4:]) if flags & 1 else content

    yield from walk(0, "")


def photographs(cache: Path) -> list[Real]:
    found = [path for pattern in PHOTOGRAPHS for path in sorted(cache.glob(pattern))]
    return [Real(path, subject(path), "photograph") for path in found
            if not NO_PHOTOGRAPHS.search(path.name) and fits(path)]  # fmt: skip


def chaff(cache: Path) -> list[Real]:
    found = []
    for kind, (pattern, most) in CHAFF.items():
        there = [path for path in sorted(cache.glob(pattern)) if not path.is_symlink()]
        random.Random(0).shuffle(there)
        if kind == "figure":
            there = [path for path in there if path.stem in FIGURES]
        taken = (path for path in there if kind in ("figure", "stamp") or fits(path))
        found += [Real(path, subject(path), kind) for path, _ in zip(taken, range(most), strict=False)]
    return found


def fits(path: Path) -> bool:
    from PIL import Image

    with Image.open(path) as image:
        return min(image.size) >= SHORTEST and image.width * image.height <= LARGEST


def subject(path: Path) -> str:
    """What a file's name says it shows, in words."""
    stem = path.parents[2].name if re.fullmatch(r"\d+x\d+", path.stem) else path.stem.split("__")[-1].split("_by_")[0]
    return " ".join(re.sub(r"([a-z])([A-Z])", r"\1 \2", stem).replace("_", " ").replace("-", " ").lower().split())
