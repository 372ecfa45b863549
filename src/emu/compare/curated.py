"""The curated set of a run, for the guard that looks for copies: named by a flag, or by the run's own config."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emu import runs
from emu.compare.looking import see
from emu.errors import UserError
from emu.guards import Training

if TYPE_CHECKING:
    from emu.judges import Embedder

COLUMNS = ("image_column", "text_column")  # of `CuratedData`
MAX_PIXELS = 100_000_000


def root_of(run: Path) -> str | None:
    """The `data.root` that the run learned from, where its config names one."""
    data = (runs.read_config(run) or {}).get("data")
    root = data.get("root") if isinstance(data, dict) else None
    return str(root) if root else None


def find(run: Path, given: str | None) -> tuple[str | None, str]:
    """(root of the curated set or None, why there is none); a hub's data set is not fetched unless it is named."""
    root = given or root_of(run)
    if root is None:
        return None, "no folder of training pictures is known; name one with --training"
    if given is None and (root.startswith("hf://") or not Path(root).exists()):
        return None, f"the training pictures of the run, {root}, are not here; name them with --training"
    return root, ""


def read(root: str, config: dict[str, Any], *, embedder: "Embedder | None") -> Training:
    """Every picture of a curated set that `data.root` may name; those that cannot be read are left out.

    Raises UserError where there is none at all.
    """
    from emu.data.pictures import BadPicture, decode
    from emu.data.sources import Entry, read_source

    columns = {name: config.get("data", {}).get(name) for name in COLUMNS}
    features, entries = [], []
    for entry in read_source(root, **columns):
        if isinstance(entry, Entry):
            try:
                features.append(see(decode(entry.open, max_pixels=MAX_PIXELS), embedder))
                entries.append(entry)
            except BadPicture:
                continue
    if not entries:
        raise UserError(f"--training {root}: holds no picture")
    return Training(
        np.stack(features),
        names=[entry.name for entry in entries],
        captions=[entry.text for entry in entries],
        show=[partial(decode, entry.open, max_pixels=MAX_PIXELS) for entry in entries],
    )
