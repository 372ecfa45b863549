"""The pictures of a review: those of a curated folder, with their captions, concepts and scores.

A picture is known by its name and its content. Both are summed up once and remembered by size and time of the file, so
that a folder of 20,000 opens at once the next time.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emu.data.sources import Entry, Wanted
from emu.data.sources.rows import read_rows
from emu.errors import UserError, printable, reason
from emu.layouts.curated_folder import MANIFEST, METADATA, REVIEWING, TASTE, original
from emu.storage.files import sha256, write_json
from emu.storage.records import read_json

SUMS = "sums.json"

Sum = tuple[int, int, str]  # size, time in nanoseconds, sha256


@dataclass(frozen=True)
class Candidate:
    """A picture under review: its file below the folder, its caption, and what was measured of it."""

    key: str
    file: str
    text: str
    row: Mapping[str, Any] = field(default_factory=dict)
    concept: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)


def read_pictures(folder: Path) -> dict[str, Candidate]:
    """By key, in the order of the folder. UserError: no pictures there, or one absent, no file of it or named twice."""
    if not (folder / METADATA).is_file():
        raise UserError(f"{folder}: no {METADATA} there; give a folder that emu curate made, or one like it")
    rows = {}
    for entry in read_rows(folder / METADATA, Wanted(text_column="text")):
        if not isinstance(entry, Entry):
            raise UserError(f"{folder}: {printable(entry.message)}; mend {METADATA} and start again")
        if entry.name in rows:
            raise UserError(
                f"{folder}: {METADATA} names {printable(entry.name)} twice; people look at a picture once, so leave "
                "one line of it and start again"
            )
        rows[entry.name] = (entry.text, dict(entry.columns))
    if not rows:
        raise UserError(f"{folder}: holds no picture; nothing is there to review")
    sums, measured = _sums(folder, list(rows)), _measured(folder)
    found = {}
    for file, (text, row) in rows.items():
        key = hashlib.sha256(f"{sums[file]} {file}".encode(errors="surrogateescape")).hexdigest()[:32]
        found[key] = Candidate(key, file, text, row, *measured.get(original({"file_name": file, **row}), ()))
    return found


def taste(folder: Path) -> dict[str, int]:
    """File -> its place in the order of `emu taste`; empty where that has not run."""
    if not (folder / TASTE).is_file():
        return {}
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(folder / TASTE, columns=["file", "order"])
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{folder / TASTE}: not of emu taste ({error}); remove it, or run emu taste again") from error
    return dict(zip(table.column("file").to_pylist(), table.column("order").to_pylist(), strict=True))


def _sums(folder: Path, files: Sequence[str]) -> dict[str, str]:
    """File -> sha256 of its content; those that were summed up before are read no more."""
    place = folder / REVIEWING / SUMS
    known = _known_sums(place)

    def one(file: str) -> Sum:
        stat, before = (folder / file).stat(), known.get(file)
        if before and before[:2] == (stat.st_size, stat.st_mtime_ns):
            return before
        return stat.st_size, stat.st_mtime_ns, sha256(folder / file)

    try:
        with ThreadPoolExecutor() as pool:
            found = dict(zip(files, pool.map(one, files), strict=True))
        if found != known:
            write_json(place, found)
    except OSError as error:
        raise UserError(f"{folder}: {reason(error)}; the review keeps sums and thumbnails in {REVIEWING}") from error
    return {file: digest for file, (_, _, digest) in found.items()}


def _known_sums(place: Path) -> dict[str, Sum]:
    try:
        sums: dict[str, Sum] = read_json(place, dict[str, Sum], remedy="remove it")
    except UserError:  # none yet, or damaged: all files are read again
        return {}
    return sums


def _measured(folder: Path) -> dict[str, tuple[str, dict[str, float]]]:
    """File -> its concept, and the manifest's scores; empty without a manifest."""
    if not (folder / MANIFEST).is_file():
        return {}
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(folder / MANIFEST)
        # No score: a picture's place in the source, and what is unsigned, which is a hash.
        numbers = [
            one.name
            for one in schema
            if pa.types.is_floating(one.type) or (pa.types.is_signed_integer(one.type) and one.name != "row")
        ]
        columns = ["file", *numbers, *(["concept"] if "concept" in schema.names else [])]
        there = pc.field("file").is_valid()  # of what stayed; a manifest has every picture of the source
        rows = pq.read_table(folder / MANIFEST, columns=columns, filters=there).to_pylist()
    except (OSError, pa.ArrowException, KeyError) as error:
        raise UserError(f"{folder / MANIFEST}: not a manifest of emu curate ({error}); remove it") from error

    def scores(row: Mapping[str, Any]) -> dict[str, float]:
        return {name: float(row[name]) for name in numbers if row[name] is not None and math.isfinite(row[name])}

    return {row["file"]: (str(row.get("concept") or ""), scores(row)) for row in rows}
