"""Rows that name pictures: of JSON lines, CSV, TSV or parquet, one at a time; no line is held beyond LONGEST."""

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from emu.data.sources.columns import without_bytes
from emu.data.sources.entry import Fault
from emu.data.tabular import read_cells
from emu.errors import UserError
from emu.storage.shapes import Row

LONGEST = 1_000_000  # bytes of a line
BATCH = 512  # rows of parquet


def read_lines(path: Path) -> Iterator[tuple[str, Row | Fault]]:
    """(where, row or what is wrong with it) of every line that is not empty. UserError: no table."""
    kind = path.suffix.lower()
    with path.open("rb") as file:
        if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise UserError(f"{path}: UTF-16, as spreadsheets save Unicode text; save it as UTF-8")
    return _tabular(path) if kind in (".csv", ".tsv") else _parquet(path) if kind == ".parquet" else _json(path)


def _json(path: Path) -> Iterator[tuple[str, Row | Fault]]:
    for number, line in enumerate(_bounded(path), start=1):
        where = f"{path.name} line {number}"
        if len(line) > LONGEST:
            yield where, Fault(f"{where}: longer than {LONGEST:,} bytes")
        elif line.strip():
            yield where, _object(where, line)


def _object(where: str, line: bytes) -> Row | Fault:
    try:
        row: Any = json.loads(line)
    except (ValueError, RecursionError) as error:  # bad JSON or bad UTF-8
        return Fault(f"{where}: not JSON ({error})")
    return row if isinstance(row, dict) else Fault(f"{where}: not a JSON object")


def _tabular(path: Path) -> Iterator[tuple[str, Row | Fault]]:
    text = (line.decode("utf-8-sig", "surrogateescape") for line in _bounded(path))
    for number, cells in read_cells(text, file=str(path), tabs=path.suffix.lower() == ".tsv"):
        where = f"{path.name} line {number}"
        yield where, Fault(f"{where}: {cells}") if isinstance(cells, str) else dict(cells)


def _parquet(path: Path) -> Iterator[tuple[str, Row | Fault]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH, columns=without_bytes(file.schema_arrow)):
                for row in batch.to_pylist():
                    yield f"{path.name}:{number}", row
                    number += 1
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: cannot be read as parquet ({str(error).partition(chr(10))[0]})") from None


def _bounded(path: Path) -> Iterator[bytes]:
    """Every line, of one that is too long the beginning."""
    with path.open("rb") as file:
        while line := file.readline(LONGEST + 1):
            yield line
            while line and not line.endswith(b"\n"):
                line = file.readline(LONGEST)
