"""Daft as the engine: its native runner in this process, or its Ray runner over a cluster.

Shards travel as rows of a data frame, so nothing is left to Daft but where a shard is done: what is done is the
ledger's to know, in a folder that all machines see. A worker that dies ends the job; the same command goes on. Daft's
Ray runner was seen to wait for ever for a worker that was killed: so workers give signs of life in that folder.
"""

import os
import pickle
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any
from uuid import uuid4

from emu.curate.engine import Engine
from emu.curate.shards import Shard
from emu.curate.work import Work
from emu.errors import UserError
from emu.layouts.curated_folder import WORK

BEAT = 2.0  # seconds between two signs of life of a worker
SILENT = 120.0  # seconds without any after which no worker is at work
WAVE = 16  # shards a worker between two looks at the source: they are in memory
LIFE = f"{WORK}/life"


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
                with alive(work.out):
                    work(pickle.loads(pickled), lambda _: None)
            except UserError as error:
                return str(error)
            return ""

        measure = daft.func(return_dtype=daft.DataType.string())(do)
        waiting = iter(shards)
        while wave := list(islice(waiting, WAVE * self.workers)):
            frame = daft.from_pydict({"shard": [pickle.dumps(shard) for shard in wave]})
            frame = frame.into_partitions(len(wave)) if self.ray else frame.into_batches(1)
            answers = self._answers(frame.select(measure(daft.col("shard")).alias("said")))
            if said := next(filter(None, answers), None):
                raise UserError(said)
            yield from (len(shard.items) for shard in wave)

    def _answers(self, frame: Any) -> list[str]:
        """What the workers said. UserError where they have been silent for long."""
        answers: SimpleQueue[Any] = SimpleQueue()
        seen, heard = dict(_signs(self.work.out / LIFE)), 0.0  # those of a job that was killed say nothing of this one
        threading.Thread(target=_collect, args=(frame, answers), daemon=True).start()
        while True:
            try:
                found = answers.get(timeout=BEAT)
            except Empty:
                beats = dict(_signs(self.work.out / LIFE))
                if beats != seen:
                    seen, heard = beats, time.monotonic()
                elif heard and time.monotonic() - heard > SILENT:
                    raise UserError("no worker gives a sign of life; run the same command again, it goes on") from None
                continue
            if isinstance(found, BaseException):
                raise found
            said: list[str] = found["said"]
            return said

    def stop(self) -> None:
        """Nothing of it outlives `map`."""


def _collect(frame: Any, answers: "SimpleQueue[Any]") -> None:
    try:
        answers.put(frame.to_pydict())
    except BaseException as error:
        answers.put(error)


def _signs(folder: Path) -> Iterator[tuple[str, int]]:
    for sign in folder.glob("*"):
        with suppress(FileNotFoundError):  # its worker is through with a shard
            yield sign.name, sign.stat().st_mtime_ns


@contextmanager
def alive(out: Path) -> Iterator[None]:
    """A sign of life now and then, as long as the context lasts."""
    sign, over = out / LIFE / uuid4().hex, threading.Event()
    sign.parent.mkdir(parents=True, exist_ok=True)

    def give() -> None:
        while not over.wait(BEAT):
            sign.touch()

    sign.touch()
    thread = threading.Thread(target=give, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        sign.unlink(missing_ok=True)
