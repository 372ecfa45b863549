"""Where a haystack comes from: what `emu.data.sources` reads, with parquet row by row and pictures behind addresses."""

from collections.abc import Iterator

from emu.data.sources import Entry, Fault, read_source


def read_pictures(source: str, *, image_column: str, text_column: str) -> Iterator[Entry | Fault]:
    """Every picture of a folder with a metadata.jsonl, of tars, parquet files or a dataset of the hub, in order."""
    return read_source(source, image_column=image_column, text_column=text_column)
