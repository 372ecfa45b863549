"""Where captioned pictures come from: a folder with metadata.jsonl, WebDataset tars, parquet, a dataset of the hub."""

import glob
from collections.abc import Iterator
from pathlib import Path

from emu.bundled import resolve
from emu.data.sources.entry import Entry, Fault
from emu.data.sources.folder import METADATA, read_folder
from emu.data.sources.rows import HUB, read_hub, read_parquet
from emu.data.sources.tars import read_tar
from emu.errors import UserError

__all__ = ["Entry", "Fault", "read_source"]


def read_source(root: str, *, image_column: str, text_column: str) -> Iterator[Entry | Fault]:
    """Every picture of `root`, in an order that is the same at every start.

    `root` is a folder with a metadata.jsonl, with tars or with parquet files, one such file, a glob of them, `emu://NAME`
    or `hf://datasets/owner/name`. UserError: none of these.
    """
    if root.startswith(HUB):
        return read_hub(root, image_column=image_column, text_column=text_column)
    path = Path(resolve(root)).expanduser()
    if (path / METADATA).is_file():
        return read_folder(path, image_column=image_column, text_column=text_column)
    if path.is_dir():
        return _read_files(root, sorted(path.iterdir()), image_column, text_column)
    if path.is_file():
        return _read_files(root, [path], image_column, text_column)
    if glob.has_magic(str(path)):
        return _read_files(root, sorted(map(Path, glob.glob(str(path)))), image_column, text_column)
    raise UserError(f"data.root {root}: no such folder or file (a dataset of the hub is {HUB}OWNER/NAME)")


def _read_files(root: str, files: list[Path], image_column: str, text_column: str) -> Iterator[Entry | Fault]:
    tars = [file for file in files if file.suffix == ".tar"]
    parquet = [file for file in files if file.suffix == ".parquet"]
    if tars and parquet:
        raise UserError(f"data.root {root}: holds tars and parquet files; name one kind, as in {root}/*.tar")
    if parquet:
        return read_parquet(parquet, image_column=image_column, text_column=text_column)
    if tars:
        return (entry for tar in tars for entry in read_tar(tar, text_column=text_column))
    raise UserError(f"data.root {root}: no metadata.jsonl, .tar or .parquet found there")
