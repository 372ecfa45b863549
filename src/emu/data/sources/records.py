"""What img2dataset notes beside its files and tars: in `00000.parquet` a row an address, and what came of it."""

from collections.abc import Iterator
from pathlib import Path

from emu.data.sources.entry import Dropped
from emu.data.sources.rows import FETCHED


def is_record(path: Path) -> bool:
    """Whether a parquet file is such a record, and holds no pictures of its own."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names = set(pq.read_schema(path).names)
    except (pa.ArrowException, OSError):
        return False
    return {"status", "error_message"} <= names and "jpg" not in names


def read_record(path: Path) -> Iterator[Dropped]:
    """The rows that gave no picture, each with the reason."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        known = [name for name in ("key", "url", "status", "error_message") if name in file.schema_arrow.names]
        for batch in file.iter_batches(columns=known):
            for row in batch.to_pylist():
                if row["status"] != FETCHED:
                    where = row.get("key") or row.get("url")
                    yield Dropped(f"{path.name}:{where}: {row['status']} ({row['error_message']})")
