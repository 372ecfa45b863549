"""A folder of pictures with a `metadata.jsonl`: one JSON object a line, `file_name`, `text` and any further columns."""

import io
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from emu.data.sources.entry import Entry, Fault, entry_or_fault
from emu.errors import UserError

METADATA = "metadata.jsonl"
LONGEST = 1_000_000  # bytes of a line


def read_folder(root: Path, *, image_column: str, text_column: str) -> Iterator[Entry | Fault]:
    """Every line's picture, its file name under `file_name` (as `datasets` has it) or `image_column`.

    UserError: a file name that leaves the folder, which no limit on bad pictures lets pass.
    """
    for number, line in enumerate(_lines(root / METADATA), start=1):
        where = f"{METADATA} line {number}"
        if len(line) > LONGEST:
            yield Fault(f"{where}: longer than {LONGEST:,} bytes")
        elif line.strip():
            yield _read_line(root, where, line, image_column, text_column)


def _lines(path: Path) -> Iterator[bytes]:
    """Every line, of one that is too long the beginning; never more than that in memory."""
    with path.open("rb") as file:
        while line := file.readline(LONGEST + 1):
            yield line
            while line and not line.endswith(b"\n"):
                line = file.readline(LONGEST)


def _read_line(root: Path, where: str, line: bytes, image_column: str, text_column: str) -> Entry | Fault:
    try:
        row: Any = json.loads(line)
    except ValueError as error:  # bad JSON or bad UTF-8
        return Fault(f"{where}: not JSON ({error})")
    if not isinstance(row, dict):
        return Fault(f"{where}: not a JSON object")
    column = "file_name" if "file_name" in row else image_column
    name = row.pop(column, None)
    if not isinstance(name, str):
        return Fault(f'{where}: no "file_name"')
    if _leaves(name):
        raise UserError(f"{root / where}: {name!r} leads out of the folder; name files below it")
    path = root / name
    try:
        if not path.is_file():
            return Fault(f"{where}: no such file {path}")
        if not path.resolve().is_relative_to(root.resolve()):
            return Fault(f"{where}: {name} is a link out of the folder; copy the file, or name its folder as data.root")
    except (OSError, ValueError) as error:  # a name that is too long, or that no file can have
        return Fault(f"{where}: no such file ({error})")
    return entry_or_fault(name, row.pop(text_column, None), partial(_open, path), row)


def _open(path: Path) -> io.BufferedReader:
    return path.open("rb")


def _leaves(name: str) -> bool:
    return any(
        path.is_absolute() or path.drive or ".." in path.parts for path in (PurePosixPath(name), PureWindowsPath(name))
    )
