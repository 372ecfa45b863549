"""The marks that the funnel is held to: bad pictures of every kind cost their rows, memory stays small, JPEGs are
scaled while they are decoded. The long forms are run by `benchmarks/curate.py marks`."""

import os
import struct
import subprocess
import sys
import time
import zlib
from collections import Counter
from functools import cache
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import yaml
from PIL import Image

from emu.curate.config import Funnel
from haystack import BROKEN, ODD, folder, pixels, stored

MEMORY = 600 * 2**20  # bytes, all processes together
BAD = (*BROKEN, "animated", "bomb of 874 KB", "100 megapixels")  # to be failed, or dropped where they are animated
STAGES = {
    "stages": [
        {"class_path": "emu.curate.stages.Readable", "at_most": {"animated": 0}},  # with its own limit of 40 megapixels
        {"class_path": "emu.curate.stages.Technical"},
        {"class_path": "emu.curate.stages.Duplicates", "init_args": {"distance": -1}},
    ]
}


@cache
def special(kind: str) -> bytes:
    match kind:
        case "animated":
            return stored(pixels(0), "GIF", save_all=True, append_images=[pixels(1)])
        case "bomb of 874 KB":
            return bomb(30_000)
        case "100 megapixels":
            return stored(Image.new("L", (10_000, 10_000), 90), "PNG", compress_level=1)
        case "large":  # than 40 megapixels
            return stored(Image.new("1", (8000, 5001)), "PNG")
        case _:
            raise AssertionError(kind)


def bomb(side: int) -> bytes:
    """A whole PNG of side x side grey pixels, all black: 900 MB in 874 KB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer, line = zlib.compressobj(9), bytes(side + 1)
    data = b"".join([*(packer.compress(line) for _ in range(side)), packer.flush()])
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def haystack(root: Path, pictures: int, share: float, bad: tuple[str, ...]) -> tuple[Path, list[str]]:
    """Every `1 / share`th is bad, of each kind in turn; the others are good ones, odd ones among them."""
    good = (*ODD, "good")
    step, number = round(1 / share), 0
    kinds = []
    for i in range(pictures):
        kinds.append(bad[number % len(bad)] if i % step == step - 1 else good[i % len(good)])
        number += i % step == step - 1
    source = folder(root / "hay", kinds)
    for i, kind in enumerate(kinds):
        if kind in ("animated", "bomb of 874 KB", "100 megapixels", "large"):
            (source / f"{kind}-{i}.jpg").write_bytes(special(kind))
    return source, kinds


def run(root: Path, source: Path) -> int:
    """`emu curate` with two workers; returns the most memory that all its processes had, in bytes (RSS)."""
    (root / "config.yaml").write_text(yaml.safe_dump(STAGES))
    argv = [sys.executable, "-m", "emu", "curate", "-c", str(root / "config.yaml"), str(source), str(root / "out")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    peak = 0
    with (root / "log").open("wb") as log:
        process = subprocess.Popen([*argv, "--workers", "2"], env=environment, stdout=log, stderr=log)
    while process.poll() is None:
        used = []
        try:
            for one in (found := psutil.Process(process.pid), *found.children(recursive=True)):
                used.append(one.memory_info().rss)
        except psutil.NoSuchProcess:
            pass
        peak = max(peak, sum(used))
        time.sleep(0.05)
    assert process.returncode == 0, (root / "log").read_text()
    return peak


def bad_pictures_cost_their_rows(root: Path, *, pictures: int, share: float, bad: tuple[str, ...] = BAD) -> str:
    source, kinds = haystack(root, pictures, share, bad)
    peak = run(root, source)
    rows = pq.read_table(root / "out" / "manifest.parquet").to_pylist()
    assert [row["row"] for row in rows] == list(range(pictures))
    for kind, row in zip(kinds, rows, strict=True):
        if kind in bad:
            assert (row["status"], row["stage"]) == ("dropped" if kind == "animated" else "failed", "readable"), row
            assert row["reason"], row
        else:
            assert row["status"] == "kept", row
    assert peak < MEMORY, f"{peak / 2**20:.0f} MB"
    counts = Counter(row["status"] for row in rows)
    return f"{pictures:,} pictures, {100 * share:g} % bad: {dict(counts)}, at most {peak / 2**20:.0f} MB (RSS, summed)"


def test_a_third_of_bad_pictures_costs_their_rows_and_little_memory(tmp_path: Path) -> None:
    bad = tuple(kind for kind in BAD if kind != "bomb of 874 KB")  # it takes seconds to be made
    bad_pictures_cost_their_rows(tmp_path, pictures=280, share=1 / 3, bad=bad)


def test_where_no_stage_needs_every_pixel_a_jpeg_is_decoded_small() -> None:
    """The funnel asks for the largest of what its stages want to see; one stage that wants all of it has its way."""
    hashed = {"class_path": "emu.curate.stages.Duplicates"}
    judged = {"class_path": "emu.curate.stages.Judged", "init_args": {"judge": "any.Judge", "column": "score"}}
    readable, technical = STAGES["stages"][:2]
    sides = [Funnel({"stages": [readable, *more]}).side for more in ([hashed], [hashed, judged], [hashed, technical])]
    assert sides == [128, 448, 0]
