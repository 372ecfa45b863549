"""Cost and memory of `emu curate` as its haystack grows, on rows so cheap that the machinery is what is measured."""

import io
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from curate_watched import Watched, watch
from PIL import Image

CHEAP = """
stages:
  - {class_path: emu.curate.stages.Readable}
  - {class_path: emu.curate.stages.Shape, at_most: {aspect: 2}}
  - {class_path: emu.curate.stages.Caption, at_least: {caption_words: 2}}
  - {class_path: emu.curate.stages.Best, init_args: {number: 1000, by: {short_side: 1, caption_words: 1}}}
"""
FILE = 10_000  # rows of a parquet file
GROUP = 1_000


def rows(folder: Path, number: int) -> Path:
    """Parquet files of tiny pictures: 100 distinct ones again and again, each row with a caption of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = [_picture(i) for i in range(100)]
    for first in range(0, number, FILE):
        path = folder / f"{first // FILE:05d}.parquet"
        if not path.exists():
            count = min(FILE, number - first)
            texts = [f"the tiny picture number {first + i}" for i in range(count)]
            table = pa.table({"image": [pictures[i % 100] for i in range(count)], "text": texts})
            pq.write_table(table, path, row_group_size=GROUP)
    return folder


def _picture(i: int) -> bytes:
    stream = io.BytesIO()
    size = (8 + i % 10, 8 + i // 10)
    Image.fromarray(np.random.default_rng(i).integers(0, 256, (*size, 3), dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def run(source: Path, work: Path) -> Watched:
    config = work / "scale.yaml"
    config.write_text(CHEAP)
    with tempfile.TemporaryDirectory(dir=work) as root:
        out = Path(root) / "out"
        argv = [sys.executable, "-m", "emu", "curate", "-c", str(config), str(source), str(out), "--workers", "2"]
        shards = out / ".curate" / "shards"
        return watch(argv, begun=lambda: any(shards.glob("shard-*")), log=work / "scale.log")


def scale(work: Path, most: int) -> None:
    """From 10^4 rows to `most`, ten times as many each time, the first size again at the end."""
    assert yaml.safe_load(CHEAP)
    sizes = [10_000 * 10**i for i in range(8) if 10_000 * 10**i <= most]
    print(
        "| rows | CPU microseconds a row | less start | wall s | peak MB (PSS) | first shard after s |\n"
        + "|---" * 6
        + "|"
    )
    start = run(rows(work / "rows-256", 256), work).cpu
    for number in (*sizes, sizes[0]):
        got = run(rows(work / f"rows-{number}", number), work)
        print(f"| {number:,} | {got.cpu / number * 1e6:.0f} | {(got.cpu - start) / number * 1e6:.0f} | {got.wall:.0f} "
              f"| {got.memory:.0f} | {got.first or got.wall:.1f} |", flush=True)  # fmt: skip
    print(f"\nof 256 rows, which are start and end alone: {start:.1f} CPU s")
