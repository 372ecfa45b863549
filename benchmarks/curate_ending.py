"""What comes after all pictures were measured, alone: decisions, manifest and page over shards that are there.

    python benchmarks/curate_ending.py ROWS FOLDER       # prints CPU seconds and the memory that it took

Workers see a shard at a time, however many there are; this part sees all of them, so it is where memory could grow.
"""

import resource
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import yaml
from curate_scale import CHEAP, rows

from emu.curate import ledger, manifest, needles
from emu.curate.config import SHARD, Funnel
from emu.curate.counts import count
from emu.curate.decide import decide
from emu.curate.manifest import Footer
from emu.curate.page import page
from emu.curate.shards import cut
from emu.curate.work import Work
from emu.data.sources import read_source
from emu.layouts.curated_folder import MANIFEST


def shards(funnel: Funnel, source: Path, out: Path, number: int) -> list[Path]:
    """One shard that was measured, again and again, under the rows that it would have."""
    work = Work(funnel, out)
    work(next(cut(read_source(str(source), image_column="image", text_column="text"), size=SHARD)), lambda _: None)
    done = ledger.Ledger(out, funnel.sha256)
    table = pa.parquet.read_table(done.path(0))
    at = table.column_names.index("row")
    paths = [done.path(0)]
    thumbnails = table.column_names.index("thumbnail")
    bare = table.set_column(thumbnails, "thumbnail", pa.nulls(len(table), pa.binary()))
    for shard in range(1, number // SHARD):
        moved = bare.set_column(at, "row", pa.array(range(shard * SHARD, (shard + 1) * SHARD), pa.int64()))
        pa.parquet.write_table(moved, done.path(shard), compression="zstd")
        paths.append(done.path(shard))
    return paths


def main() -> None:
    number, work = int(sys.argv[1]), Path(sys.argv[2])
    funnel = Funnel(yaml.safe_load(CHEAP))
    with tempfile.TemporaryDirectory(dir=work) as root:
        out = Path(root)
        paths = shards(funnel, rows(work / "rows-256", 256), out, number)
        before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        marks = []

        def mark(name: str) -> None:
            peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            marks.append(f"{name} {time.process_time() - began:.1f} s, {peak:.0f} MB")

        fates = decide(funnel, paths)
        mark("decided")
        footer = Footer("", "", funnel.document, count(funnel, fates, paths), fates.notes)
        manifest.write(out, funnel, fates, paths, footer)
        mark("manifest")
        page(funnel, fates, paths, footer)
        mark("page")
        needles.write_metadata(out, manifest.kept(out))
        mark("metadata")
        size = (out / MANIFEST).stat().st_size
    rows_seen = len(paths) * SHARD
    seconds = time.process_time() - began
    print(f"{rows_seen:,} rows: {seconds / rows_seen * 1e6:.0f} CPU microseconds a row, {before / 1024:.0f} MB before; "
          f"{'; '.join(marks)}; manifest of {size / rows_seen:.0f} bytes a row")  # fmt: skip


if __name__ == "__main__":
    main()
