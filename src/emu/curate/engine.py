"""What an engine is: it calls the work for every shard, wherever it likes, and says how much is done.

Resuming, decoding, fetching and writing are the work's own, so an engine is three methods. A shard is its unit: nothing
that an engine does can change what is written.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

from emu.curate.shards import Shard
from emu.curate.work import Work
from emu.errors import UserError

ENGINES = ("pool", "daft", "ray")


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


def make(name: str, *, workers: int) -> Engine:
    """`pool`: processes of this machine. `daft`: its native runner. `ray`: Daft on Ray. UserError: no such engine."""
    if name == "pool":
        from emu.curate.pool import Pool

        return Pool(workers)
    if name in ENGINES:
        from emu.curate.daft import Daft

        return Daft(workers, ray=name == "ray")
    raise UserError(f"--engine {name}: no such engine; there are {', '.join(ENGINES)}")
