"""Parquet: rows with a picture's bytes, its path or its address.

Rows are read piece by piece and without their pictures. These are read by whoever opens them: in order, a piece of a
file at a time, or at random out of a copy that `datasets` lays out for it and maps into memory.
"""

import glob
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from emu.data.pictures import Opener
from emu.data.sources.columns import without_bytes
from emu.data.sources.entry import Item, Wanted
from emu.data.sources.hub import open_cell, opened
from emu.data.sources.rows import Rows
from emu.errors import UserError, first_line

BATCH = 512  # rows without pictures
PIECE = 16  # rows with pictures


@dataclass(frozen=True, slots=True)
class Table:
    """One file, and the column of its pictures with its type."""

    path: Path
    rows: Rows
    column: str
    kind: pa.DataType

    @property
    def stored(self) -> bool:
        """Whether the pictures lie in the file itself."""
        return not _is_text(self.kind)


def read_tables(paths: Sequence[Path], wanted: Wanted, *, title: str = "") -> Iterator[Item]:
    """Every row of every file, in order; `title` is put before names in messages.

    Paths are below the folder of their file; an address is to be fetched. UserError: no parquet, or columns that are
    not there, which is said before a picture is looked at.
    """
    tables = [_table(path, Rows(path.parent, wanted, title=title)) for path in paths]
    groups = dict[tuple[str, pa.DataType], list[Table]]()
    for table in tables:
        groups.setdefault((table.column, table.kind), []).append(table)
    laid_out = {} if wanted.sequential else {kind: LaidOut(alike) for kind, alike in groups.items()}
    for table in tables:
        opener = None
        if table.stored:
            alike = laid_out.get((table.column, table.kind))
            opener = partial(_in_order, table) if alike is None else partial(alike.opener, table)
        with _damage(table.path), pq.ParquetFile(table.path) as file:
            yield from _read(table, file, opener)


def stores_pictures(path: Path, wanted: Wanted) -> bool:
    """Whether the pictures lie in a file, rather than their names. UserError: as above."""
    return _table(path, Rows(path.parent, wanted)).stored


def _table(path: Path, rows: Rows) -> Table:
    with _damage(path), pq.ParquetFile(path) as file:
        column = rows.require(str(path), file.schema_arrow.names)
        kind = file.schema_arrow.field(column).type
    binary = pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    if not (_is_text(kind) or binary or pa.types.is_struct(kind)):
        raise UserError(f"{path}: column {column} holds {kind}, no bytes, paths or addresses")
    return Table(path, rows, column, kind)


def _read(table: Table, file: pq.ParquetFile, opener: Callable[[int, int], Opener] | None) -> Iterator[Item]:
    """`opener` takes a group of rows and a row of that."""
    light = [name for name in without_bytes(file.schema_arrow) if name != table.column or not table.stored]
    for group in range(file.num_row_groups):
        at = 0
        for batch in file.iter_batches(BATCH, row_groups=[group], columns=light):
            for row in batch.to_pylist() if light else [{}] * len(batch):
                where = f"{table.path.name}:{group}:{at}"
                yield table.rows.item(where, row, opener(group, at) if opener else None)
                at += 1


class LaidOut:
    """The pictures of several files, each of which can be asked for at once, at the cost of a copy on disk."""

    def __init__(self, tables: Sequence[Table]) -> None:
        self.tables = tables
        self.before = dict[tuple[Path, int], int]()  # (file, group) -> rows before it
        self.cells: Any = None

    def opener(self, table: Table, group: int, row: int) -> Opener:
        """Of a row of a group of a file."""
        if self.cells is None:
            self._lay_out()
        index = self.before[table.path, group] + row
        return partial(open_cell, self.cells, index, table.column, table.path.parent)

    def _lay_out(self) -> None:
        import datasets

        column, paths, at = self.tables[0].column, [table.path for table in self.tables], 0
        for path in paths:
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    self.before[path, group] = at
                    at += file.metadata.row_group(group).num_rows
        try:
            names = [glob.escape(str(path)) for path in paths]  # which it takes for patterns
            found = datasets.load_dataset("parquet", data_files=names, columns=[column], split="train")
        except (datasets.exceptions.DatasetGenerationError, ValueError) as error:
            said = first_line(error.__cause__ or error)
            raise UserError(f"{', '.join(map(str, paths)):.300}: cannot be read as parquet ({said})") from None
        self.cells = found.cast_column(column, datasets.Image(decode=False))


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: cannot be read as parquet ({first_line(error)})") from None


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):  # of categories
        kind = kind.value_type
    return any(is_one(kind) for is_one in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


def _in_order(table: Table, group: int, row: int) -> Opener:
    return partial(_open_row, table.path, group, row, table.column)


def _open_row(path: Path, group: int, row: int, column: str) -> io.BufferedReader | io.BytesIO:
    return opened(_cursor(path, group, column).at(row), path.parent)


@lru_cache(maxsize=1)
def _cursor(path: Path, group: int, column: str) -> "Cursor":
    return Cursor(path, group, column)


class Cursor:
    """The pictures of a row group, in rising order at the cost of one piece in memory."""

    def __init__(self, path: Path, group: int, column: str) -> None:
        self.open = partial(self._pieces, path, group, column)
        self.pieces, self.first, self.cells = self.open(), 0, list[Any]()

    def at(self, row: int) -> Any:
        """The cell of a row; going back starts over. OSError: the file is damaged there."""
        if row < self.first:
            self.pieces, self.first, self.cells = self.open(), 0, []
        while row >= self.first + len(self.cells):
            self.first, self.cells = self.first + len(self.cells), []
            try:
                self.cells = next(self.pieces)
            except (pa.ArrowException, StopIteration) as error:  # what lies behind the damage is not read either
                said = first_line(error)
                raise OSError(f"the file is damaged there{f': {said}' if said else ''}") from None
        return self.cells[row - self.first]

    @staticmethod
    def _pieces(path: Path, group: int, column: str) -> Iterator[list[Any]]:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(PIECE, row_groups=[group], columns=[column]):
                yield batch.column(0).to_pylist()
