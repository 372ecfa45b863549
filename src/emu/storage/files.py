"""Files: each written whole or not at all, each known by its sha256.

A file is written beside its place and renamed into it, so that no reader ever meets half of one. What a writer that was
killed left beside ends in `.tmp`, and is swept where nobody else writes.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any

from emu.errors import system_error
from emu.storage.records import to_json


@contextmanager
def replacing(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """A path beside `path` to write a file to, renamed into its place at the end; its folder is made where need be.

    What is raised inside leaves `path` as it was. An OSError names `path`, also where the system names none (a full
    disk) and where a library made another error of it. `durable`: the file outlives a power cut once this has ended.
    """
    beside = beside_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        if durable:
            to_disk(beside)
        beside.replace(path)
        if durable:
            to_disk(path.parent)
    except Exception as error:
        system = system_error(error)
        if system is not None and system.filename in (None, str(beside)):
            system.filename = str(path)
        if system is None or system is error:
            raise
        raise system from error
    finally:
        with suppress(OSError):  # the folder itself may be gone, which was said above
            beside.unlink(missing_ok=True)


def beside_of(path: Path) -> Path:
    """Where a file is written before it is renamed to `path`: a name that no thread, process or machine shares."""
    return path.with_name(f".{path.name}.{int.from_bytes(os.urandom(8))}.tmp")


def write(path: Path, content: bytes | str, *, durable: bool = False, alone: bool = False) -> None:
    """Write a file, text as UTF-8.

    Args:
        durable: it outlives a power cut once this returns.
        alone: nobody else writes this file, so that what a killed writer left beside it goes.
    """
    if alone:
        sweep(path.parent, path.name)
    with replacing(path, durable=durable) as beside:
        beside.write_bytes(content.encode() if isinstance(content, str) else content)


def write_json(
    path: Path, value: Any, *, indent: int | None = None, durable: bool = False, alone: bool = False
) -> None:
    """`write` what `emu.storage.records.to_json` makes of a value."""
    write(path, to_json(value, indent=indent), durable=durable, alone=alone)


def write_lines(path: Path, rows: Iterable[Any], *, durable: bool = False, alone: bool = False) -> None:
    """`write` a `.jsonl` file, what `emu.storage.records.to_json` makes of a row on each line."""
    write(path, b"".join(to_json(row, indent=None) + b"\n" for row in rows), durable=durable, alone=alone)


def sweep(folder: Path, name: str | None = None) -> None:
    """Remove what killed writers left beside files, or the one of that name; call it where nobody else writes them."""
    for left in folder.glob(".*.tmp"):  # the name itself may have letters of a pattern
        whose = re.fullmatch(r"\.(.+)\.\d+\.tmp", left.name, re.DOTALL)
        if whose and name in (None, whose[1]) and left.is_file():
            left.unlink(missing_ok=True)


def to_disk(path: Path) -> None:
    """Wait until a file, or the list of a folder's files, would outlive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(file: Path | BufferedReader | BytesIO) -> str:
    """The sha256 of a file's content, or of what is left to read in a stream, as 64 hexadecimal digits."""
    if isinstance(file, Path):
        with file.open("rb") as stream:
            return sha256(stream)
    return hashlib.file_digest(file, "sha256").hexdigest()
