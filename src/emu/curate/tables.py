"""Parquet as a haystack: rows with a picture's bytes, its path or its address; read piece by piece.

In memory is one batch of rows, without the pictures; these are read by whoever opens them, a piece of a file at a time.
"""

import io
from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from emu.curate.contents import Remote
from emu.data.sources import Entry, Fault
from emu.data.sources.entry import entry_or_fault
from emu.errors import UserError

BATCH = 512  # rows without pictures
PIECE = 16  # rows with pictures
ADDRESSES = ("http://", "https://")


def read_tables(paths: list[Path], *, image_column: str, text_column: str) -> Iterator[Entry | Fault]:
    """Every row of every file, in order. Paths are below the folder of their file; an address is to be fetched."""
    for path in paths:
        try:
            with pq.ParquetFile(path) as file:
                yield from _read_file(path, file, image_column, text_column)
        except (pa.ArrowException, OSError) as error:
            reason = str(error).split("\n")[0]
            raise UserError(f"{path}: cannot be read as parquet ({reason})") from None


def _read_file(path: Path, file: pq.ParquetFile, image_column: str, text_column: str) -> Iterator[Entry | Fault]:
    names = file.schema_arrow.names
    for column in (image_column, text_column):
        if column not in names:
            raise UserError(
                f"{path}: no column {column}; there are {', '.join(names)} (data.image_column, text_column)"
            )
    kind = file.schema_arrow.field(image_column).type
    if not (_is_text(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_struct(kind)):
        raise UserError(f"{path}: column {image_column} holds {kind}, no bytes, paths or addresses")
    light = [name for name in names if name != image_column or _is_text(kind)]
    for group in range(file.num_row_groups):
        at = 0
        for batch in file.iter_batches(BATCH, row_groups=[group], columns=light):
            for row in batch.to_pylist():
                cell = row.pop(image_column, None)
                opener = partial(_open_row, path, group, at, image_column)
                yield _entry(path, f"{path.name}:{group}:{at}", cell, opener, row, text_column)
                at += 1


def _entry(path: Path, name: str, cell: Any, opener: Any, row: dict[str, Any], text_column: str) -> Entry | Fault:
    text = row.pop(text_column)
    if cell is None:
        return entry_or_fault(name, text, opener, row)
    if cell.lower().startswith(ADDRESSES):
        return entry_or_fault(cell, text, Remote(cell), row)
    if "://" in cell:
        return Fault(f"{cell}: refused: neither http nor https")
    below = path.parent / cell
    try:
        if not below.resolve().is_relative_to(path.parent.resolve()):
            return Fault(f"{cell}: leads out of the folder of {path.name}")
    except (OSError, ValueError) as error:
        return Fault(f"{cell}: no such file ({error})")
    return entry_or_fault(cell, text, partial(_open_file, below), row)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _open_file(path: Path) -> io.BufferedReader:
    return path.open("rb")


def _open_row(path: Path, group: int, row: int, column: str) -> io.BytesIO:
    cell = _cursor(path, group, column).at(row)
    content = cell.get("bytes") if isinstance(cell, dict) else cell
    if content is None:
        raise OSError("the row holds no picture")
    return io.BytesIO(content)


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
                said = str(error).partition("\n")[0]
                raise OSError(f"the file is damaged there{f': {said}' if said else ''}") from None
        return self.cells[row - self.first]

    @staticmethod
    def _pieces(path: Path, group: int, column: str) -> Iterator[list[Any]]:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(PIECE, row_groups=[group], columns=[column]):
                yield batch.column(0).to_pylist()
