"""What an engine is: it calls the work for every shard, wherever it likes, and says how much is done.

Resuming, decoding, fetching and writing are the work's own, so an engine is three methods. A shard is its unit: nothing
that an engine does can change what is written.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

from emu.curate.shards import Shard
from emu.curate.work import Work


class Engine(ABC):
    """Used once: start, map, stop."""

    @abstractmethod
    def start(self, work: Work) -> None:
        """Workers that know their work. UserError: a package is missing."""

    @abstractmethod
    def map(self, shards: Iterable[Shard]) -> Iterator[int]:
        """Do every shard, in any order; takes shards as there is room for them. Yields how many pictures more are
        measured, a shard's once it is written or part of them before.

        UserError, from here or from a worker, ends the job; what is done stays done.
        """

    @abstractmethod
    def stop(self) -> None:
        """End all workers, at work or not."""
