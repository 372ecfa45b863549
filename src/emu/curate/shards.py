"""A source cut into shards: equal runs of its pictures, the same at every start."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from emu.data.sources import Entry, Item
from emu.data.sources.openers import stamp


@dataclass(frozen=True)
class Shard:
    """Pictures `first`, `first + 1`, ... of a source."""

    number: int
    first: int
    items: list[Item]

    @property
    def sha256(self) -> str:
        """Of what the source says of its pictures, and of the files that they lie in: their sizes and ages."""
        digest = hashlib.sha256()
        for item in self.items:
            said: list[object] = [type(item).__name__]
            if isinstance(item, Entry):
                file = stamp(item.open)
                said += [item.name, item.texts, item.columns, file and file[:2]]
            else:
                said.append(item.message)
            digest.update(json.dumps(said, default=str).encode())
        return digest.hexdigest()


def cut(items: Iterable[Item], *, size: int) -> Iterator[Shard]:
    """Shards of `size` pictures, the last one shorter; one is in memory at a time."""
    items = iter(items)
    number = 0
    while found := list(islice(items, size)):
        yield Shard(number, number * size, found)
        number += 1
