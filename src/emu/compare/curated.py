"""The curated set of a run, for the guard that looks for copies: named by a flag, or by the run's own config."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from emu.compare.recipe import setting
from emu.errors import UserError
from emu.guards import Training
from emu.guards.evidence import Numbers
from emu.guards.looks import layout
from emu.layouts.runs import read_config

if TYPE_CHECKING:
    from emu.judges import Embedder

MAX_PIXELS = 100_000_000
NAMED = 3  # pictures left out that are named


@dataclass(frozen=True)
class CuratedSet:
    """A curated set, or `absent`: why there is none; `unread` says which pictures could not be read."""

    training: Training | None = None
    absent: str = ""
    unread: str = ""


class CuratedSets:
    """The curated sets of runs; one that several share is read once.

    Args:
        given: the set of all of them, as `data.root` takes it; None for what each run's config names.
        embedder: what tells near pictures from far ones.
    """

    def __init__(self, given: str | None, embedder: "Embedder | None") -> None:
        self.given, self.embedder = given, embedder
        self._read: dict[str, CuratedSet] = {}

    def of(self, run: Path) -> CuratedSet:
        """The set that a run is held against; a hub's data set is not fetched unless it is named."""
        config = read_config(run)
        named = setting(config, "data.root")
        root = self.given or (str(named) if named else None)
        if root is None:
            return CuratedSet(absent="no folder of training pictures is known; name one with --training")
        if self.given is None and (root.startswith("hf://") or not Path(root).exists()):
            here = "are not here; name them with --training"
            return CuratedSet(absent=f"the training pictures of the run, {root}, {here}")
        if root not in self._read:
            columns = setting(config, "data.image_column"), setting(config, "data.text_column")
            self._read[root] = _read(root, columns, self.embedder)
        return self._read[root]


def see(picture: Image.Image, embedder: "Embedder | None") -> Numbers:
    """float32 (d,), whose distances the guards read: an embedder's vector, or else where light and dark lie."""
    return layout(picture) if embedder is None else embedder.see(picture)


def _read(root: str, columns: tuple[str | None, str | None], embedder: "Embedder | None") -> CuratedSet:
    """Every picture of a set that `data.root` may name. UserError where there is none at all."""
    from emu.data.pictures import BadPicture, decode
    from emu.data.sources import Entry, Fault, read_source

    features, entries, unread = [], [], []
    for item in read_source(root, image_column=columns[0], text_column=columns[1]):
        if isinstance(item, Entry):
            try:
                features.append(see(decode(item.open, max_pixels=MAX_PIXELS), embedder))
                entries.append(item)
            except BadPicture as reason:
                unread.append(f"{item.name}: {reason}")
        elif isinstance(item, Fault):
            unread.append(item.message)
    if not entries:
        raise UserError(f"--training {root}: holds no picture")
    training = Training(
        np.stack(features),
        names=[entry.name for entry in entries],
        captions=[entry.text for entry in entries],
        show=[partial(decode, entry.open, max_pixels=MAX_PIXELS) for entry in entries],
    )
    return CuratedSet(training, unread=_unread(unread))


def _unread(messages: list[str]) -> str:
    if not messages:
        return ""
    count = f"{len(messages):,} training picture{'s' * (len(messages) > 1)} cannot be read"
    more = "; ..." * (len(messages) > NAMED)
    return f"{count}, so that no copy of {'it' if len(messages) == 1 else 'them'} is found: " + (
        "; ".join(messages[:NAMED]) + more
    )
