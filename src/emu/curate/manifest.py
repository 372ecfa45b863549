"""The manifest: one parquet file with every picture of the source, what was measured, and how it ended.

`row`, `source`, `text`, `status` (kept, dropped, failed), `stage` and `reason` where it left, `file` where it was
kept, every score, the source's own columns; in the footer the config, the counts and what the thresholds became.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from emu.curate import ledger
from emu.curate.config import Funnel
from emu.curate.counts import Count
from emu.curate.decide import STAYED, Fates, read
from emu.curate.document import Config
from emu.curate.ledger import user_error
from emu.errors import UserError, first_line, printable
from emu.layouts.curated_folder import IMAGES, MANIFEST, METADATA
from emu.storage import files
from emu.storage.places import without_places
from emu.storage.records import build, fault, parse

GROUP = 4096  # rows of a row group at least: the writer keeps a note of every column of every group to its end
EXTENSIONS = {"JPEG": "jpg", "TIFF": "tif"}  # the other formats are their own


@dataclass(frozen=True)
class Footer:
    """What the manifest says of the funnel as a whole: JSON in the footer of its file.

    Args:
        config: the sha256 of the config; of everything that decides what comes out.
        source: the command line's.
        document: the config itself.
        stages: a count a stage.
        notes: stage -> what it says of its decision, such as the thresholds that it found.
    """

    config: str
    source: str
    document: dict[str, Any]
    stages: list[Count]
    notes: dict[str, dict[str, Any]]
    schema: Literal[2] = 2

    @cached_property
    def funnel(self) -> Config:
        """The config."""
        made: Config = build(self.document, Config)
        return made

    def lines(self, stage: str) -> list[tuple[str, str]]:
        """What a stage says of its decision, in words."""
        return [(printable(key), printable(in_words(value))) for key, value in self.notes.get(stage, {}).items()]

    def without_places(self) -> "Footer":
        """With the last part of absolute paths alone."""
        made: Footer = build(without_places(asdict(self)), Footer)
        return made


def in_words(value: Any) -> str:
    """A value of the config or of a note in plain words."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {in_words(inner)}" for key, inner in value.items()) or "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True, slots=True)
class Kept:
    """A picture that stayed.

    Args:
        row: its place in the source.
        source, text: its name there, and its caption.
        source_columns: what else the source says of it, as JSON.
        file: where it lies in the curated folder.
        sha256: of its bytes in the source.
        crop: `left,top,right,bottom` of what is left of it, where borders were cut off.
    """

    row: int
    source: str
    text: str
    source_columns: str
    file: str
    sha256: str
    crop: str | None = None


def write(out: Path, funnel: Funnel, fates: Fates, shards: list[Path], footer: Footer) -> None:
    """From the shards, one in memory at a time; whole or not there."""
    with user_error(out / MANIFEST), files.replacing(out / MANIFEST, durable=True) as beside:
        _stream(beside, funnel, fates, shards, footer)


def _stream(beside: Path, funnel: Funnel, fates: Fates, shards: list[Path], footer: Footer) -> None:
    writer, waiting = None, list[pa.Table]()
    try:
        for number, path in enumerate(shards, 1):
            waiting.append(ledger.marked(_ended(read(path), funnel, fates), footer))
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


def kept(out: Path) -> list[Kept]:
    """The pictures that stayed, in the order of the source."""
    stayed = pc.field("status") == "kept"
    columns = ["status", *(one.name for one in fields(Kept))]
    return [build(row, Kept) for group in groups(out, columns) for row in group.filter(stayed).to_pylist()]


def groups(out: Path, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """The manifest's tables, one at a time, with those of `columns` that it has. UserError where it is damaged."""
    with _opened(out) as file:
        for number in range(file.num_row_groups):
            yield file.read_row_group(number, columns=columns)


def numbered(out: Path, number: int, columns: Sequence[str]) -> pa.Table:
    """One of those tables, by its number. UserError where it is damaged."""
    with _opened(out) as file:
        return file.read_row_group(number, columns=columns)


@contextmanager
def _opened(out: Path) -> Iterator[pq.ParquetFile]:
    path = out / MANIFEST
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: damaged ({first_line(error)}); remove it and {METADATA}, and curate again") from None


def read_footer(out: Path) -> Footer:
    """UserError where there is no manifest, or one of another schema."""
    path = out / MANIFEST
    try:
        said = ledger.footer(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no manifest there; run emu curate first") from None
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: damaged ({first_line(error)}); remove it and {METADATA}, and curate again") from None
    found = parse(said, dict[str, Any], where=str(path), remedy="remove it, and curate again")
    if "schema" not in found and "told" in found:
        found = {**found, "notes": found["told"]}  # as the first schema called them
    if wrong := fault(found, Footer) or fault(found["document"], Config, "document"):
        raise UserError(f"{path}: not a manifest that this emu reads ({wrong}); remove it, and curate again")
    footer: Footer = build(found, Footer)
    return footer
