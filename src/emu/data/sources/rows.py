"""Parquet files and datasets of the Hugging Face hub, both through `datasets`.

`datasets` takes seconds to import, so it is imported only where rows are read.
"""

import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from emu.data.sources.entry import Entry, Fault, entry_or_fault
from emu.errors import UserError

HUB = "hf://datasets/"  # as the hub's own file system has it


def read_parquet(paths: list[Path], *, image_column: str, text_column: str) -> Iterator[Entry | Fault]:
    """Every row; pictures are bytes or `{bytes, path}`, as `datasets` writes them."""
    import datasets

    try:
        table = datasets.load_dataset("parquet", data_files=[str(path) for path in paths], split="train")
    except (datasets.exceptions.DatasetGenerationError, ValueError) as error:
        reason = str(error.__cause__ or error).split("\n")[0]
        raise UserError(f"{', '.join(map(str, paths))}: cannot be read as parquet ({reason})") from None
    return _read_rows(table, image_column=image_column, text_column=text_column)


def read_hub(root: str, *, image_column: str, text_column: str) -> Iterator[Entry | Fault]:
    """Every row of the split `train` of `hf://datasets/owner/name`."""
    import datasets

    try:
        table = datasets.load_dataset(root.removeprefix(HUB), split="train")
    except Exception as error:  # the hub, the network, a loading script: many kinds, and none of them ours
        reason = str(error).split("\n")[0]
        raise UserError(f"data.root {root}: cannot be loaded from the hub ({reason})") from None
    return _read_rows(table, image_column=image_column, text_column=text_column)


def _read_rows(table: Any, *, image_column: str, text_column: str) -> Iterator[Entry | Fault]:
    import datasets

    for flag, column in (("image_column", image_column), ("text_column", text_column)):
        if column not in table.column_names:
            raise UserError(f"data.{flag} {column}: no such column; there are {', '.join(table.column_names)}")
    pictures = table.select_columns([image_column]).cast_column(image_column, datasets.Image(decode=False))
    for index, row in enumerate(table.remove_columns(image_column)):
        yield entry_or_fault(
            f"row {index}", row.pop(text_column), partial(_open_cell, pictures, index, image_column), row
        )


def _open_cell(pictures: Any, index: int, column: str) -> io.BufferedReader | io.BytesIO:
    cell = pictures[index][column]
    return io.BytesIO(cell["bytes"]) if cell["bytes"] is not None else Path(cell["path"]).open("rb")
