"""Daft as the engine: its native runner in this process, or its Ray runner over a cluster.

Shards travel as rows of a data frame, so nothing is left to Daft but where a shard is done: what is done is the
ledger's to know, in a folder that all machines see. A worker that dies ends the job; the same command goes on.
"""

import os
import pickle
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from itertools import islice
from typing import Any

from emu.curate.engine import Engine
from emu.curate.shards import Shard
from emu.curate.work import Work
from emu.errors import UserError

WAVE = 16  # shards a worker between two looks at the source: they are in memory


class Daft(Engine):
    """Shards in waves, `workers` of them at a time. `ray`: on the cluster at RAY_ADDRESS, or a local one."""

    def __init__(self, workers: int, *, ray: bool) -> None:
        self.workers, self.ray = workers, ray

    def start(self, work: Work) -> None:
        self.work = work
        for module in ("daft", *(["ray"] if self.ray else [])):
            if find_spec(module) is None:
                extra = "curate-ray" if self.ray else "curate-daft"
                raise UserError(f"--engine: needs {module}; pip install 'emu-quality-tuning[{extra}]'")
        os.environ.setdefault("DAFT_PROGRESS_BAR", "0")  # there is one already
        import daft

        if self.ray:  # the native one is what it starts with, and it can be set once a process
            daft.set_runner_ray()

    def map(self, shards: Iterable[Shard]) -> Iterator[int]:
        import daft

        work = self.work

        def do(pickled: bytes) -> str:
            try:
                work(pickle.loads(pickled), lambda _: None)
            except UserError as error:
                return str(error)
            return ""

        measure = daft.func(return_dtype=daft.DataType.string())(do)
        waiting = iter(shards)
        while wave := list(islice(waiting, WAVE * self.workers)):
            frame = daft.from_pydict({"shard": [pickle.dumps(shard) for shard in wave]})
            frame = frame.into_partitions(len(wave)) if self.ray else frame.into_batches(1)
            told: dict[str, list[Any]] = frame.select(measure(daft.col("shard")).alias("said")).to_pydict()
            if said := next(filter(None, told["said"]), None):
                raise UserError(said)
            yield from (shard.number for shard in wave)

    def stop(self) -> None:
        """Nothing of it outlives `map`."""
