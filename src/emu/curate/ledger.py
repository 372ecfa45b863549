"""The ledger: what has been measured, a parquet file a shard.

A shard is done if its file is there and its footer tells the same config and the same input; then it is whole, since it
was written beside, synced and renamed. So a job that was killed anywhere goes on, and does again what was under way.
"""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from emu.errors import UserError, of_the_system
from emu.layouts.curated_folder import IMAGES, UPSAMPLED, WORK
from emu.storage import files
from emu.storage.records import parse

LOCK = f"{WORK}/lock"
FOOTER = b"emu"


@dataclass(frozen=True)
class Measured:
    """What the footer of a shard's file says: the sha256 of the config and of the input, and how many there are."""

    config: str
    input: str
    pictures: int
    failed: int


class Ledger:
    """The shards of one curated folder."""

    def __init__(self, out: Path, config: str) -> None:
        self.folder, self.config = out / WORK / "shards", config

    def path(self, number: int) -> Path:
        return self.folder / f"shard-{number:06d}.parquet"

    def done(self, number: int, input_sha256: str) -> bool:
        """Whether this very shard has been measured by this very config."""
        try:
            found: Measured = parse(footer(self.path(number)), Measured, where="", remedy="")
        except (OSError, pa.ArrowException, UserError):  # absent, or damaged on disk: measured again
            return False
        return (found.config, found.input) == (self.config, input_sha256)

    def write(self, number: int, table: pa.Table, *, input_sha256: str) -> None:
        """UserError where the disk is full or cannot be written to; no half file is left."""
        failed = sum(table.column("failed").to_pylist())
        measured = marked(table, Measured(self.config, input_sha256, len(table), failed))
        buffer = io.BytesIO()
        # Dictionaries of 256 rows save nothing, and take 9 MB of a worker for good.
        pq.write_table(measured, buffer, compression="zstd", use_dictionary=False, write_page_checksum=True)
        write_durably(self.path(number), buffer.getvalue())


def kept_file(out: Path, sha256: str) -> Path:
    """Where a picture that was fetched lies until the curated folder is written."""
    return out / WORK / "fetched" / sha256[:2] / sha256


def write_kept(out: Path, sha256: str, content: bytes) -> None:
    """Keep what was fetched."""
    path = kept_file(out, sha256)
    if not path.exists():
        with user_error(path):
            files.write(path, content)


def write_durably(path: Path, content: bytes | str) -> None:
    """Whole, and on the disk. UserError where the disk does not take it."""
    with user_error(path):
        files.write(path, content, durable=True)


@contextmanager
def user_error(path: Path) -> Iterator[None]:
    """What the system says of a file that cannot be written, as one line that says what to do."""
    try:
        yield
    except OSError as error:
        raise UserError(of_the_system(error, path)) from None


def sweep(out: Path) -> None:
    """Remove what jobs that were killed had half written, wherever it lies in a curated folder."""
    for pattern in (IMAGES, UPSAMPLED, WORK, f"{WORK}/shards", f"{WORK}/fetched/*"):
        for folder in out.glob(pattern):
            files.sweep(folder)
    files.sweep(out)


def marked(table: pa.Table, said: Any) -> pa.Table:
    """A table whose footer says what a dataclass does."""
    return table.replace_schema_metadata({FOOTER: json.dumps(asdict(said), sort_keys=True).encode()})


def footer(path: Path) -> bytes:
    """The JSON in a file's footer; of a file that is none of ours an empty object."""
    said: bytes = (pq.read_schema(path).metadata or {}).get(FOOTER, b"{}")
    return said
