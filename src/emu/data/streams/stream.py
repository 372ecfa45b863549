"""What a stream is: its shards, and all that its order depends on."""

import os
import zlib
from dataclasses import dataclass

from emu.data.buckets import Bucket
from emu.data.sources.entry import Wanted
from emu.data.streams.failures import Failures
from emu.data.streams.order import shares


@dataclass(frozen=True)
class Stream:
    """What is read, and in which order.

    Args:
        root: for messages.
        shards: paths or addresses, in order.
        wanted: how their records are read.
        buckets: the shapes of batches.
        batch_size: pictures of one.
        lanes: rows of shards that are read side by side.
        shuffle: records of a lane that are shuffled together, about.
        seed: of all that is random.
        caption_dropout: share of captions replaced by "".
        max_pixels: larger pictures are bad.
        max_failed: share of pictures and of shards that may fail.
        held_out: names of the first shard's pictures that are not trained on.
    """

    root: str
    shards: tuple[str, ...]
    wanted: Wanted
    buckets: tuple[Bucket, ...]
    batch_size: int
    lanes: int
    shuffle: int
    seed: int
    caption_dropout: float
    max_pixels: int
    max_failed: float
    held_out: frozenset[str] = frozenset()

    @property
    def parts(self) -> int:
        """Of a pass."""
        return len(self.shards) * shares(len(self.shards), self.lanes)

    @property
    def identity(self) -> dict[str, int]:
        """What its order depends on, by its name in a message."""
        folders = [address.split("/")[:-1] for address in self.shards]
        shared = len(os.path.commonprefix(folders))  # wherever that lies
        names = ["/".join(address.split("/")[shared:]) for address in self.shards]
        return {
            "shards": zlib.crc32(repr(names).encode()),
            "held-out pictures": zlib.crc32(repr(sorted(self.held_out)).encode()),
            "shapes": zlib.crc32(repr(self.buckets).encode()),
            "data.batch_size": self.batch_size,
            "data.lanes": self.lanes,
            "data.shuffle": self.shuffle,
            "data.seed": self.seed,
        }

    def failures(self) -> Failures:
        """Of whoever reads it; none yet."""
        return Failures(self.root, self.max_failed, len(self.shards))
