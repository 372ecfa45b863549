"""The manifest: one parquet file with every picture of the source, what was measured, and how it ended.

`row`, `source`, `text`, `status` (kept, dropped, failed), `stage` and `reason` where it left, `file` where it was
kept, every score, the source's own columns; in the footer the config, the counts and what the thresholds became.
"""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from emu import files, shapes
from emu.curate import ledger
from emu.curate.config import Funnel
from emu.curate.decide import Fates, tables
from emu.curate.stage import Row
from emu.curate.work import STAYED
from emu.data.sources.kinds import METADATA
from emu.errors import UserError
from emu.records import fault

NAME = "manifest.parquet"
IMAGES = "images"
GROUP = 4096  # rows of a row group at least: the writer keeps a note of every column of every group to its end
EXTENSIONS = {"JPEG": "jpg", "TIFF": "tif"}  # the other formats are their own


def write(out: Path, funnel: Funnel, fates: Fates, shards: list[Path], told: dict[str, Any]) -> None:
    """From the shards, one in memory at a time; whole or not there."""
    with ledger.told_of_the_disk(out / NAME), files.replacing(out / NAME, durable=True) as beside:
        _stream(beside, funnel, fates, shards, told)


def _stream(beside: Path, funnel: Funnel, fates: Fates, shards: list[Path], told: dict[str, Any]) -> None:
    writer, waiting = None, list[pa.Table]()
    try:
        for number, table in enumerate(tables(shards), 1):
            waiting.append(ledger.marked(_ended(table, funnel, fates), told))
            if number == len(shards) or sum(map(len, waiting)) >= GROUP:
                writer = writer or pq.ParquetWriter(
                    beside, waiting[0].schema, compression="zstd", write_page_checksum=True
                )
                writer.write_table(pa.concat_tables(waiting))
                waiting.clear()
    finally:
        if writer is not None:
            writer.close()


def _ended(table: pa.Table, funnel: Funnel, fates: Fates) -> pa.Table:
    """A shard's table with how each picture ended in place of what its worker knew of that."""
    rows, reasons = table.column("row").to_pylist(), table.column("reason").to_pylist()
    formats, crops = table.column("format").to_pylist(), _crops(table)
    ended: dict[str, list[str | None]] = {"status": [], "stage": [], "reason": [], "file": []}
    for at, row in enumerate(rows):
        left, failed = int(fates.left[row]), bool(fates.failed[row])
        kept = left == STAYED
        ended["status"].append("kept" if kept else "failed" if failed else "dropped")
        ended["stage"].append(None if kept else funnel.steps[left].stage.name)
        ended["reason"].append(None if kept else fates.reason(row) or reasons[at])
        ended["file"].append(file_name(row, formats[at], cropped=crops[at] is not None) if kept else None)
    first = table.select(["row", "source", "text"])
    for name, values in ended.items():
        first = first.append_column(name, pa.array(values, type=pa.string()))
    for name in table.column_names:
        only_for_stages = pa.types.is_binary(table.schema.field(name).type)  # thumbnails, embeddings
        if name not in (*first.column_names, "left", "failed") and not only_for_stages:
            first = first.append_column(name, table.column(name))
    return first


def _crops(table: pa.Table) -> list[str | None]:
    return table.column("crop").to_pylist() if "crop" in table.column_names else [None] * len(table)


def file_name(row: int, kind: str, *, cropped: bool) -> str:
    """Where a kept picture lies in the curated folder."""
    return f"{IMAGES}/{row:08d}.{'png' if cropped else EXTENSIONS.get(kind, kind.lower())}"


def kept(path: Path) -> list[Row]:
    """The rows that were kept, all columns."""
    return [row for group in groups(path) for row in group.filter(pc.field("status") == "kept").to_pylist()]


def groups(path: Path) -> Any:
    """The manifest's tables, one at a time. UserError where it is damaged."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for number in range(file.num_row_groups):
                yield file.read_row_group(number)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{path}: damaged ({reason}); remove it and {METADATA}, and curate again") from None


def told(out: Path) -> dict[str, Any]:
    """What a manifest's footer tells. UserError where there is none."""
    try:
        found = ledger.footer(out / NAME)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{out / NAME}: no manifest there ({error}); run emu curate first") from None
    if wrong := fault(found, shapes.Manifest):
        raise UserError(f"{out / NAME}: not a manifest of emu curate ({wrong}); remove it, and curate again")
    return found
