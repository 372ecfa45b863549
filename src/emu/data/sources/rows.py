"""A row of any table -> a captioned picture: one set of rules for JSON lines, CSV, parquet and the hub."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emu.data.pictures import Opener
from emu.data.sources.below import as_it_lies, below
from emu.data.sources.columns import NAMES, STORED, TEXTS, captions, listed, named
from emu.data.sources.entry import NOWHERE, Dropped, Fault, Item, Wanted, entry_or_fault
from emu.data.sources.lines import read_lines
from emu.data.sources.openers import File, Remote
from emu.errors import UserError
from emu.layouts.curated_folder import UPSAMPLED_FROM

ADDRESSES = ("http://", "https://")
FETCHED = "success"  # what img2dataset writes under `status` where it got the picture


@dataclass(frozen=True, slots=True)
class Rows:
    """How the rows of one table are read.

    Args:
        folder: the one that its file names are below.
        wanted: what the user asks for.
        usual: names of the picture's column, the likeliest first.
        title: put before names in messages.
    """

    folder: Path
    wanted: Wanted
    usual: Sequence[str] = (*STORED, *NAMES)
    title: str = ""

    def picture_column(self, columns: Iterable[str]) -> str | None:
        """The wanted column, or `file_name` in its place; where none is wanted the first usual one.

        `datasets` names pictures by `X_file_name` too, and then calls them `X`.
        """
        columns, given = list(columns), self.wanted.image_column
        if given:
            return next((name for name in (given, f"{given}_file_name", "file_name") if name in columns), None)
        own = [name for name in columns if name.endswith("_file_name")]
        return next(iter([*named(columns, self.usual), *(own if len(own) == 1 else ())]), None)

    def require(self, where: str, columns: Sequence[str]) -> str:
        """The column of the pictures. UserError: that of pictures or of captions is not there."""
        picture, text = self.picture_column(columns), self.wanted.text_column
        if picture is None:
            asked = self.wanted.image_column or f"of pictures ({', '.join(self.usual)})"
            raise UserError(f"{where}: no column {asked}; {listed(columns)} (data.image_column)")
        if not (text.partition(".")[0] in columns if text else named(columns, TEXTS) or not self.wanted.captioned):
            asked = text or f"of captions ({', '.join(TEXTS)})"
            raise UserError(f"{where}: no column {asked}; {listed(columns)} (data.text_column)")
        return picture

    def item(self, where: str, row: Mapping[str, Any], stored: Opener | None = None) -> Item:
        """What a row gives; `stored` opens its picture where that lies in the table itself, and not in `row`."""
        where = self.title + where
        if row.get("status") not in (None, FETCHED) and "error_message" in row:
            return Dropped(f"{where}: {row['status']} ({row['error_message']})")
        column = self.picture_column(row)
        cell = row[column] if column else None
        if stored is None and not isinstance(cell, str):
            if column:
                return Fault(f"{where}: its {column} is {'empty' if cell is None else f'no name but {cell!r:.60}'}")
            return Fault(f'{where}: no "file_name"; {listed(row)} (data.image_column)')
        if stored is None and not _is_address(str(cell)):
            cell = as_it_lies(self.folder, str(cell))
        if stored is None and "://" in str(cell) and not _is_address(str(cell)):
            return Fault(f"{cell}: refused: neither http nor https")
        try:
            opener = stored or self._opener(str(cell))
        except ValueError as error:
            return Fault(f"{where}: {error}")
        name = where if stored else str(cell) if isinstance(opener, Remote) else f"{self.title}{cell}"
        try:
            text_column, texts = captions(row, self.wanted.text_column)
            origin = f"column {text_column}"
        except ValueError as error:
            if self.wanted.captioned:
                return Fault(f"{name}: {error}")
            text_column, texts, origin = "", ("",), NOWHERE
        used = {text_column} if stored or isinstance(opener, Remote) else {text_column, column}
        left = {key: value for key, value in row.items() if key not in used}
        return entry_or_fault(name, texts, opener, left, caption_from=origin)

    def _opener(self, name: str) -> Opener:
        return Remote(name) if _is_address(name) else File(below(self.folder, name))


def _is_address(name: str) -> bool:
    return name.lower().startswith(ADDRESSES)


def read_rows(path: Path, wanted: Wanted, *, named: set[str] | None = None, title: str = "") -> Iterator[Item]:
    """Every row of a table that names files or addresses; the files that it names go into `named`, used or not."""
    rows = Rows(path.parent, wanted, (*NAMES, *STORED), title)
    checked = path.suffix == ".jsonl"  # where every line has its own columns
    for where, row in read_lines(path):
        if isinstance(row, Fault):
            yield Fault(title + row.message)
            continue
        if not checked:
            rows.require(str(path), list(row))
            checked = True
        if named is not None:
            named.update(
                _from(path.parent, as_it_lies(path.parent, name)) for name in names_in(row, rows.picture_column(row))
            )
        yield rows.item(where, row)


def _from(folder: Path, name: str) -> str:
    """A file's name as seen from its folder, however the table writes it."""
    if not os.path.isabs(name):
        return os.path.normpath(name)
    return os.path.relpath(os.path.realpath(name), os.path.realpath(folder))


def names_in(row: Mapping[str, Any], column: str | None) -> list[str]:
    """The files of a row: its picture, and the smaller one that `emu curate --upsample` made it from."""
    made = row.get(UPSAMPLED_FROM)
    names = [row.get(column) if column else None, made.get("file_name") if isinstance(made, dict) else None]
    return [name for name in names if isinstance(name, str)]


def is_record(path: Path) -> bool:
    """Whether a parquet file is what img2dataset notes beside its pictures: a row an address, and what came of it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names = set(pq.read_schema(path).names)
    except (pa.ArrowException, OSError):
        return False
    return {"status", "error_message"} <= names and "jpg" not in names


def read_record(path: Path) -> Iterator[Dropped]:
    """The rows of such a record that gave no picture, each with the reason."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        known = [name for name in ("key", "url", "status", "error_message") if name in file.schema_arrow.names]
        for batch in file.iter_batches(columns=known):
            for row in batch.to_pylist():
                if row["status"] != FETCHED:
                    where = row.get("key") or row.get("url")
                    yield Dropped(f"{path.name}:{where}: {row['status']} ({row['error_message']})")
