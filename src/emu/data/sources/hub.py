"""Datasets of the Hugging Face hub, through `datasets`, which takes seconds to import: only where one is read."""

import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from emu.data.sources.below import below
from emu.data.sources.columns import without_bytes
from emu.data.sources.entry import Item, Wanted
from emu.data.sources.rows import Rows
from emu.errors import UserError, first_line

HUB = "hf://datasets/"  # as the hub's own file system has it


def read_hub(root: str, wanted: Wanted) -> Iterator[Item]:
    """Every row of the split `train` of `hf://datasets/owner/name`."""
    import datasets

    try:
        table = datasets.load_dataset(root.removeprefix(HUB), split="train")
    except Exception as error:  # the hub, the network, a loading script: many kinds, and none of them ours
        raise UserError(f"data.root {root}: cannot be loaded from the hub ({first_line(error)})") from None
    rows = Rows(Path(), wanted)
    column = rows.require(f"data.root {root}", table.column_names)
    pictures = table.select_columns([column]).cast_column(column, datasets.Image(decode=False))
    light = [name for name in without_bytes(table.features.arrow_schema) if name != column]
    for index, row in enumerate(table.select_columns(light)):
        yield rows.item(f"row {index}", row, partial(open_cell, pictures, index, column, None))


def open_cell(table: Any, index: int, column: str, folder: Path | None) -> io.BufferedReader | io.BytesIO:
    """A cell of a dataset that is mapped into memory."""
    return opened(table[index][column], folder)


def opened(cell: Any, folder: Path | None) -> io.BufferedReader | io.BytesIO:
    """Bytes, or a struct of bytes or of the path of a file: below `folder`, or where `datasets` itself put it.

    OSError: there is no picture, or none that may be opened.
    """
    content = cell.get("bytes") if isinstance(cell, dict) else cell
    if content is not None:
        return io.BytesIO(content)
    path = cell.get("path") if isinstance(cell, dict) else None
    if path is None:
        raise OSError("the row holds no picture")
    try:
        return (Path(path) if folder is None else below(folder, path)).open("rb")
    except ValueError as error:
        raise OSError(str(error)) from None
