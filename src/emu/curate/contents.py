"""The bytes of a shard's pictures, one after the other; those behind addresses are fetched ahead."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from emu.curate.fetch import Fetch, fetch
from emu.curate.picture import read
from emu.data.sources import Entry, Item
from emu.data.sources.openers import Remote


class Contents:
    """Index -> bytes, asked for in rising order.

    Args:
        items: of a shard.
        policy, max_bytes: what is let in.
        slots: a folder that all workers of the machine share.
    """

    def __init__(self, items: Sequence[Item], policy: Fetch, *, max_bytes: int, slots: Path) -> None:
        self.items, self.policy, self.max_bytes, self.slots = items, policy, max_bytes, slots
        self.remote = [i for i, item in enumerate(items) if isinstance(item, Entry) and isinstance(item.open, Remote)]
        self.fetched: dict[int, Future[bytes]] = {}
        self.pool = ThreadPoolExecutor(policy.parallel) if self.remote else None

    def __enter__(self) -> "Contents":
        return self

    def __exit__(self, *error: object) -> None:
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)

    def __call__(self, index: int) -> bytes:
        """BadPicture: why there are none."""
        item = self.items[index]
        assert isinstance(item, Entry)
        if not isinstance(item.open, Remote):
            return read(item, max_bytes=self.max_bytes)
        self._ahead(index)
        return self.fetched.pop(index).result()

    def _ahead(self, index: int) -> None:
        assert self.pool is not None
        while self.remote and (self.remote[0] <= index or len(self.fetched) < self.policy.parallel):
            at = self.remote.pop(0)
            if at < index:
                continue  # it was set aside
            item = self.items[at]
            assert isinstance(item, Entry)
            assert isinstance(item.open, Remote)
            self.fetched[at] = self.pool.submit(
                fetch, item.open.url, self.policy, max_bytes=self.max_bytes, slots=self.slots
            )
