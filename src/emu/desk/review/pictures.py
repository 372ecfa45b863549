"""The pictures of a review: those of a curated folder, with their captions, concepts and scores.

A picture is known by its name and its content. Both are summed up once and remembered by size and time of the file, so
that a folder of 20,000 opens at once the next time.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emu.curate.curated import original
from emu.data.sources import Entry, Wanted
from emu.data.sources.kinds import METADATA
from emu.data.sources.rows import read_rows
from emu.errors import UserError, printable
from emu.files import sha256, write_json

HIDDEN = ".review"  # a folder in the folder: sums and thumbnails
SUMS = "sums.json"
MANIFEST, TASTE = "manifest.parquet", "taste.parquet"


@dataclass(frozen=True)
class Shown:
    """A picture as it may be shown: its file below the folder, its caption, and what was measured of it."""

    key: str
    file: str
    text: str
    row: Mapping[str, Any] = field(default_factory=dict)
    concept: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)


def read_pictures(folder: Path) -> dict[str, Shown]:
    """By key, in the order of the folder. UserError: no pictures there, or one that is missing or no file of it."""
    if not (folder / METADATA).is_file():
        raise UserError(f"{folder}: no {METADATA} there; give a folder that emu curate made, or one like it")
    rows = {}
    for entry in read_rows(folder / METADATA, Wanted(text_column="text")):
        if not isinstance(entry, Entry):
            raise UserError(f"{folder}: {printable(entry.message)}; mend {METADATA} and start again")
        rows[entry.name] = (entry.text, dict(entry.columns))
    if not rows:
        raise UserError(f"{folder}: holds no picture; nothing is there to review")
    sums, measured = _sums(folder, list(rows)), _measured(folder)
    found = {}
    for file, (text, row) in rows.items():
        key = hashlib.sha256(f"{sums[file]} {file}".encode(errors="surrogateescape")).hexdigest()[:32]
        known = measured.get(original({"file_name": file, **row}), {})
        scores = {name: value for name, value in known.items() if isinstance(value, float) and math.isfinite(value)}
        found[key] = Shown(key, file, text, row, str(known.get("concept") or ""), scores)
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


def _sums(folder: Path, files: list[str]) -> dict[str, str]:
    """File -> sha256 of its content; those that were summed up before are read no more."""
    place = folder / HIDDEN / SUMS
    try:
        known: dict[str, list[Any]] = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}

    def one(file: str) -> list[Any]:
        path = folder / file
        stat = path.stat()
        before = known.get(file)
        if before and before[:2] == [stat.st_size, stat.st_mtime_ns]:
            return before
        return [stat.st_size, stat.st_mtime_ns, sha256(path)]

    try:
        with ThreadPoolExecutor() as pool:
            found = dict(zip(files, pool.map(one, files), strict=True))
        if found != known:
            write_json(place, found)
    except OSError as error:
        raise UserError(f"{folder}: {error}; the review keeps sums and thumbnails in {HIDDEN}") from error
    return {file: told[2] for file, told in found.items()}


def _measured(folder: Path) -> dict[str, dict[str, Any]]:
    """File -> the manifest's numbers and its concept; empty without a manifest."""
    if not (folder / MANIFEST).is_file():
        return {}
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(folder / MANIFEST)
        numbers = [one.name for one in schema if pa.types.is_floating(one.type) or pa.types.is_integer(one.type)]
        columns = ["file", *numbers, *(["concept"] if "concept" in schema.names else [])]
        rows = pq.read_table(folder / MANIFEST, columns=columns).to_pylist()
    except (OSError, pa.ArrowException, KeyError) as error:
        raise UserError(f"{folder / MANIFEST}: not a manifest of emu curate ({error}); remove it") from error
    kept = (row for row in rows if row["file"])
    return {
        row["file"]: {name: float(value) if isinstance(value, int) else value for name, value in row.items()}
        for row in kept
    }
