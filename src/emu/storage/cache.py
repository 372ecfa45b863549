"""Key -> dict of tensors, on memory-mapped safetensors shards in one folder.

Every flush of every writer is a shard of its own, written beside and renamed, so that many processes write at once, a
killed one leaves nothing half done, and what is there can be read while the rest is made.

    cache = Cache("runs/cache/3f9a"); cache.put_many({"a": {"x": torch.zeros(2)}}); cache.get("a")["x"]
"""

import json
import logging
import uuid
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from emu.errors import UserError
from emu.storage import files
from emu.storage.records import parse

FORMAT = {"emu-cache": "1"}  # the metadata by which a shard is known as ours

SUMS = "crc32"  # where the metadata of a shard has the sums of its tensors

log = logging.getLogger(__name__)


class Cache:
    """One folder of shards; picklable, and each process opens the shards for itself at its first look-up."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._index: dict[str, tuple[Path, list[str]]] | None = None  # key -> its shard and the names of its tensors
        self._open: dict[Path, tuple[Any, dict[str, int]]] = {}  # and the sums of its tensors
        self._sound: set[str] = set()  # keys whose tensors were held against their sums

    def __reduce__(self) -> tuple[type["Cache"], tuple[Path]]:
        return type(self), (self.folder,)  # a memory map belongs to its process

    def __contains__(self, key: object) -> bool:
        return key in self._entries()

    def keys(self) -> list[str]:
        """All keys on disk when the folder was first read, and those put since."""
        return list(self._entries())

    def get(self, key: str) -> dict[str, Tensor]:
        """The tensors put under `key`, backed by the file: copy before writing to them. KeyError: none there.

        UserError where they are not what was put; they are summed up when they are first asked for.
        """
        path, names = self._entries()[key]
        if path not in self._open:
            opened: Any = safe_open(path, framework="pt")
            said = opened.metadata().get(SUMS, "{}")
            self._open[path] = opened, parse(said, dict[str, int], where=str(path), remedy="remove it")
        shard, sums = self._open[path]
        found = {name: shard.get_tensor(f"{key}/{name}") for name in names}
        if key not in self._sound:
            for name, tensor in found.items():
                if sums.get(f"{key}/{name}", (sum_ := crc32(tensor))) != sum_:
                    set_aside(path, "damaged since it was written")
                    raise UserError(f"{path}: damaged since it was written, and set aside; run emu encode again")
            self._sound.add(key)
        return found

    def put_many(self, items: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Write one shard of `items`: key -> {name: tensor}. It is on disk in full when this returns, or not at all."""
        if not items:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        flat = {
            f"{key}/{name}": tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
            for key, tensors in items.items()
            for name, tensor in tensors.items()
        }
        path = self.folder / f"shard-{uuid.uuid4().hex}.safetensors"
        sums = {name: crc32(tensor) for name, tensor in flat.items()}
        with files.replacing(path, durable=True) as beside:
            save_file(flat, beside, metadata=FORMAT | {SUMS: json.dumps(sums)})
        self._entries().update({key: (path, list(tensors)) for key, tensors in items.items()})

    def sweep(self) -> None:
        """Remove what killed writers left half-written; call it only where nobody else writes."""
        files.sweep(self.folder)

    def _entries(self) -> dict[str, tuple[Path, list[str]]]:
        if self._index is None:
            self._index = {}
            for path in sorted(self.folder.glob("shard-*.safetensors")):
                for tensor in _tensors_of(path):
                    key, _, name = tensor.rpartition("/")
                    self._index.setdefault(key, (path, []))
                    if self._index[key][0] == path:  # two ranks may have written one key: the first shard serves it
                        self._index[key][1].append(name)
        return self._index


def _tensors_of(path: Path) -> list[str]:
    """The names in a shard's header; a torn or foreign shard is named, renamed `*.aside`, and holds none.

    UserError where the system does not let it be read: that is no fault of the shard, which may be sound.
    """
    try:
        with safe_open(path, framework="pt") as shard:
            if FORMAT.items() <= (shard.metadata() or {}).items():
                return list(shard.keys())
            reason = "not written by emu"
    except SafetensorError as error:
        reason = str(error)
    except OSError as error:
        if path.exists():
            raise UserError(
                f"{path}: cannot be read ({error}); make it readable, and give the same command again"
            ) from None
        return []  # set aside by another process meanwhile
    set_aside(path, reason)
    return []


def set_aside(path: Path, reason: str) -> None:
    """Take a shard out of the cache, where no other process was first."""
    if path.exists():
        path.rename(path.with_suffix(".aside"))
        log.warning("%s: set aside, its entries will be made again (%s)", path, reason)


def crc32(tensor: Tensor) -> int:
    """Of a tensor's bytes: enough to see damage, and twice as fast to have as sha256."""
    held: Any = tensor.detach().reshape(-1).view(torch.uint8).numpy()
    return zlib.crc32(held)
