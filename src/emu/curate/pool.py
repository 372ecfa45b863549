"""The embedded engine: a few processes of this machine, one shard at a time each.

A pipe to each process tells at which pictures it is. So when one dies, killed for its memory or by a decoder's fault,
it is known of what; its shard is tried again, at most RETRIES times, and from then on whatever it dies of is set aside.
Where it dies of a batch, the shard goes picture by picture from then on, which shows whose fault it is.
"""

import multiprocessing
import os
import secrets
import signal
import tempfile
import threading
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from typing import Any

from emu.curate import models
from emu.curate.allocator import keep_memory
from emu.curate.engine import Engine
from emu.curate.shards import Shard
from emu.curate.work import Work
from emu.errors import UserError

RETRIES = 2

PRELOAD = ["emu.curate.warm"]  # imported once for all workers, and in memory once


@dataclass
class Task:
    """A shard under way, and what happened to it."""

    shard: Shard
    deaths: int = 0
    at: Sequence[int] = ()  # the pictures that its worker said it would look at
    begun: int = 0  # those before this one have been looked at
    quarantined: set[int] = field(default_factory=set)
    alone: bool = False

    def reach(self, picture: int) -> int:
        """How many pictures it is further than ever before, now that its worker is at this one."""
        before, self.begun = self.begun, max(self.begun, picture)
        return self.begun - before


@dataclass
class Worker:
    """A process, the pipe to it and what it is at."""

    process: BaseProcess
    pipe: Connection
    task: Task | None = None


class Models:
    """The process of models that all workers share; another one where it dies.

    Args:
        threads: how many it may use at once.
    """

    def __init__(self, context: ForkServerContext, work: Work, *, threads: int) -> None:
        self.context, self.work, self.threads = context, work, threads
        self.folder = tempfile.TemporaryDirectory(prefix="emu-")
        self.address = models.Address(f"{self.folder.name}/models", secrets.token_bytes(16))
        self._start()

    def _start(self) -> None:
        self.pipe, there = self.context.Pipe()
        given = self.work, self.address, self.threads, there
        self.process = self.context.Process(target=models.serve, args=given, daemon=True)
        self.process.start()
        there.close()
        self.listened = False

    def live(self) -> None:
        """Hear whether it listens, and start another one where it is gone. RuntimeError: it never listened."""
        while self.pipe.poll():
            try:
                self.pipe.recv()
                self.listened = True
            except (EOFError, OSError):
                self.stop_process()
                if not self.listened:
                    raise RuntimeError("the process of models ends before it listens; what it says is above") from None
                self._start()

    def stop_process(self) -> None:
        """End it, at work or not."""
        self.process.kill()
        self.process.join()
        self.pipe.close()

    def stop(self) -> None:
        """For good."""
        self.stop_process()
        self.folder.cleanup()


class Pool(Engine):
    """`workers` processes."""

    def __init__(self, workers: int) -> None:
        self.count = workers
        self.workers: list[Worker] = []
        self.models: Models | None = None
        self.again: list[Task] = []
        # Started from a server that imported and computed nothing: no thread of ours is lost in a fork.
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(PRELOAD)

    def start(self, work: Work) -> None:
        self.work = work
        with _deaf():
            forkserver.ensure_running()
        if models.shares(work.funnel):
            self.models = Models(self.context, work, threads=self.count)
        self.workers = [self._worker() for _ in range(self.count)]

    def map(self, shards: Iterable[Shard]) -> Iterator[int]:
        waiting = map(Task, shards)
        for worker in self.workers:
            self._give(worker, waiting)
        while busy := [worker for worker in self.workers if worker.task is not None]:
            if self.models:
                self.models.live()
            also = [self.models.pipe] if self.models else []
            ready = wait([worker.pipe for worker in busy] + also)
            for worker in busy:
                if worker.pipe in ready and (pictures := self._hear(worker)):
                    yield pictures
                if worker.task is None:
                    self._give(worker, waiting)

    def stop(self) -> None:
        for worker in self.workers:
            worker.process.kill()  # what is half done is not under a shard's name
            worker.process.join()
            worker.pipe.close()
        self.workers = []
        if self.models:
            self.models.stop()

    def _worker(self) -> Worker:
        here, there = self.context.Pipe()
        address = self.models.address if self.models else None
        process = self.context.Process(target=_serve, args=(there, self.work, address), daemon=True)
        process.start()
        there.close()  # so that its death is the end of the pipe
        return Worker(process, here)

    def _give(self, worker: Worker, waiting: Iterator[Task]) -> None:
        task = self.again.pop() if self.again else next(waiting, None)
        worker.task = task
        if task is not None:
            task.at = ()
            with suppress(OSError):  # it died meanwhile: the pipe's end is heard next
                worker.pipe.send((task.shard, frozenset(task.quarantined), task.alone))

    def _hear(self, worker: Worker) -> int:
        """What a worker says; returns by how many pictures it has come further."""
        task = worker.task
        assert task is not None  # only those at work are listened to
        try:
            word, value = worker.pipe.recv()
        except (EOFError, OSError):
            self._bury(worker, task)
            return 0
        if word == "at":
            task.at = value
            return task.reach(value[0]) if len(value) == 1 else 0
        if word == "error":
            raise UserError(value)
        if word == "fault":
            raise RuntimeError(f"a worker failed:\n{value}")
        worker.task = None
        return task.reach(len(task.shard.items))

    def _bury(self, worker: Worker, task: Task) -> None:
        worker.process.join()
        worker.pipe.close()
        task.deaths += 1
        if task.deaths > RETRIES:
            if not task.at:
                raise RuntimeError("workers end before they open a picture; what they say is above")
            if len(task.at) == 1:
                task.quarantined.update(task.at)
            task.alone = task.alone or len(task.at) > 1
        self.again.append(task)
        fresh = self._worker()
        worker.process, worker.pipe, worker.task = fresh.process, fresh.pipe, None


@contextmanager
def _deaf() -> Iterator[None]:
    """What is started inside hears no Ctrl-C: it ends with the process that started it, and says nothing of its own."""
    if threading.current_thread() is not threading.main_thread():  # where no handler may be set
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _serve(pipe: Any, work: Work, address: models.Address | None) -> None:
    """A worker's life: until its parent is gone."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    keep_memory()
    if address:
        models.asking(work.funnel, address)
    try:
        while True:
            shard, quarantined, alone = pipe.recv()
            pipe.send(_done(work, shard, quarantined, alone, pipe))
    except (EOFError, OSError):  # the parent is gone, killed perhaps; whoever comes next goes on
        return


def _done(work: Work, shard: Shard, quarantined: frozenset[int], alone: bool, pipe: Any) -> tuple[str, Any]:
    try:
        work(shard, lambda indexes: pipe.send(("at", indexes)), quarantined, alone=alone)
    except UserError as error:
        return "error", str(error)
    except Exception:
        return "fault", traceback.format_exc()
    return "done", shard.number
