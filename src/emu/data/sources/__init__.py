"""Where captioned pictures come from: folders of every layout, WebDataset tars, tables, a dataset of the hub.

One reader for whoever reads a set, with one set of rules for what may be opened. Whatever a source holds comes out as
an Entry, a Fault or a Dropped: nothing of it is passed over in silence.
"""

from collections.abc import Iterator

from emu.data.sources.entry import Dropped, Entry, Fault, Item, Wanted
from emu.data.sources.folder import read_folder, read_paths
from emu.data.sources.hub import HUB, read_hub
from emu.data.sources.roots import find
from emu.errors import UserError

__all__ = ["Dropped", "Entry", "Fault", "Item", "Wanted", "read_source"]


def read_source(
    root: str,
    *,
    image_column: str | None = None,
    text_column: str | None = None,
    lines: bool = False,
    sequential: bool = False,
    captioned: bool = True,
) -> Iterator[Item]:
    """All that `root` holds, in an order that is the same at every start.

    `root` is a folder, a tar, a table (parquet, jsonl, csv, tsv), a picture, a pattern of these (`{000..127}.tar`,
    `*.jpg`), `emu://NAME` or `hf://datasets/owner/name`; the rest as `Wanted` has it. UserError: none of these.
    """
    wanted = Wanted(image_column, text_column, lines, sequential, captioned)
    if root.startswith(HUB):
        return read_hub(root, wanted)
    paths = find(root)
    return _some(
        root,
        read_folder(paths[0], wanted) if [path.is_dir() for path in paths] == [True] else read_paths(paths, wanted),
    )


def _some(root: str, items: Iterator[Item]) -> Iterator[Item]:
    """UserError where there is nothing at all."""
    empty = True
    for item in items:
        empty = False
        yield item
    if empty:
        raise UserError(f"data.root {root}: holds no picture, no metadata.jsonl, .tar or .parquet")
