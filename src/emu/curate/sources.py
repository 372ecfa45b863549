"""Where a haystack comes from: what `emu.data.sources` reads, and parquet in pieces, with pictures behind addresses."""

import glob
from collections.abc import Iterator
from pathlib import Path

from emu.bundled import resolve
from emu.curate.tables import read_tables
from emu.data.sources import Entry, Fault, read_source
from emu.data.sources.folder import METADATA
from emu.data.sources.rows import HUB


def read_pictures(source: str, *, image_column: str, text_column: str) -> Iterator[Entry | Fault]:
    """Every picture, in an order that is the same at every start.

    `source` is a folder with a metadata.jsonl, with tars or with parquet files, one such file, a glob of them,
    `emu://NAME` or a dataset of the hub. UserError: none of these.
    """
    files = [] if source.startswith(HUB) else _files(Path(resolve(source)).expanduser())
    if files and all(file.suffix == ".parquet" for file in files):
        return read_tables(files, image_column=image_column, text_column=text_column)
    return read_source(source, image_column=image_column, text_column=text_column)


def _files(path: Path) -> list[Path]:
    """The tars and parquet files that a source names."""
    if (path / METADATA).is_file():
        return []
    if path.is_dir():
        found = sorted(path.iterdir())
    else:
        found = [path] if path.is_file() else sorted(map(Path, glob.glob(str(path))))
    return [file for file in found if file.suffix in (".tar", ".parquet")]
