"""Pictures as an embedder sees them, kept by content: what was seen once is not looked at again."""

import io
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emu.curate.picture import reduced
from emu.data.pictures import BadPicture, decode
from emu.judges import Embedder
from emu.judges.embedder import SIDE
from emu.storage.cache import Cache
from emu.storage.files import sha256

FLUSH = 64  # pictures
MAX_PIXELS = 100_000_000

Matrix = NDArray[np.float64]


class Embeddings:
    """Files -> vectors. `made` counts those that were not known before.

    Args:
        cache: a folder.
    """

    def __init__(self, embedder: Embedder, cache: Path) -> None:
        self.embedder, self.cache, self.made = embedder, Cache(cache), 0
        self.device = "cuda" if torch.cuda.is_available() else "cpu"

    def __call__(self, folder: Path, files: list[str]) -> tuple[list[str], Matrix]:
        """(the files that could be read, float64 (n,d) of them)."""
        keys = {file: key for file in files if (key := self._key(folder / file)) is not None}
        read = {key for key in keys.values() if key in self.cache}
        new: dict[str, dict[str, Tensor]] = {}
        for file, key in keys.items():
            if key in read:
                continue
            try:
                new[key] = {"x": self._see(folder / file)}
            except BadPicture:
                continue
            read.add(key)
            if len(new) == FLUSH:
                self._keep(new)
        self._keep(new)
        there = [file for file in files if keys.get(file) in read]
        rows = [self.cache.get(keys[file])["x"].double().numpy() for file in there]
        return there, np.array(rows, dtype=np.float64)

    def _see(self, path: Path) -> Tensor:
        content = path.read_bytes()
        image = decode(lambda: io.BytesIO(content), max_pixels=MAX_PIXELS, least=SIDE)
        return torch.from_numpy(self.embedder.see(reduced(image, SIDE), device=self.device))

    def _keep(self, new: dict[str, dict[str, Tensor]]) -> None:
        self.cache.put_many(new)
        self.made += len(new)
        new.clear()

    def _key(self, path: Path) -> str | None:
        try:
            return f"{sha256(path)}-{self.embedder.fingerprint}"
        except OSError:
            return None
