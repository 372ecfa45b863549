"""The runs of a study, each the ordinary `emu fit` in a process of its own, as many at a time as is asked for.

Notable: a run's folder is locked by its process and not by the study that started it. Where the study was killed and
its runs live on, the same command waits for each and goes on from there, and two commands on one folder share the work.
"""

import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from emu.cores import cores
from emu.errors import UserError
from emu.layouts.quality_json import read_quality
from emu.storage import files
from emu.storage.records import read_json
from emu.terminal.bars import Bar

IN_TURN = "import sys; from emu.cli import main; [main([each, *sys.argv[2:]]) for each in sys.argv[1].split('+')]"
END = 8192  # bytes of a log in which its last words are
FLAGS = "flags.json"  # in a run folder: what it was made with, written when it has ended well


@dataclass(frozen=True)
class Job:
    """`emu encode`, or `emu fit` into `run`, with its arguments; "encode+fit" are both in one process, in turn.

    `flags` are those of them that say what the run is, and not where it or its pictures lie.
    """

    name: str
    command: str
    args: list[str]
    run: Path | None = None
    flags: list[str] = field(default_factory=list)

    @property
    def done(self) -> bool:
        """Whether the run stands there, stopped by its own rule, and was made with these very flags."""
        if self.run is None or not read_quality(self.run).stop_reason:
            return False
        written = self.run / FLAGS
        if not written.is_file():
            return False
        flags: list[str] = read_json(written, list[str], remedy="remove it, and the run is made again")
        return flags == self.flags


@dataclass
class Runner:
    """Runs jobs, `at_once` at a time; what each says goes to LOGS/NAME.log.

    On a machine with several devices (CUDA) each job that runs at the same time sees one of its own.
    """

    logs: Path
    at_once: int
    devices: int = 0
    _started: list["subprocess.Popen[bytes]"] = field(init=False, default_factory=list)
    _slots: list[int] = field(init=False, default_factory=list)
    _guard: threading.Lock = field(init=False, default_factory=threading.Lock)
    _ended: bool = field(init=False, default=False)

    def run(self, jobs: list[Job]) -> dict[str, str]:
        """Runs those that are not done; returns the names of those that failed with the last words of each."""
        waiting = [job for job in jobs if not job.done]
        self.logs.mkdir(parents=True, exist_ok=True)
        self._slots = list(range(self.at_once))
        failed: dict[str, str] = {}
        with ThreadPoolExecutor(self.at_once) as pool:
            futures = {job.name: pool.submit(self._one, job) for job in waiting}
            try:
                self._show(futures, done=len(jobs) - len(waiting), total=len(jobs))
            except BaseException:
                self.stop()
                pool.shutdown(cancel_futures=True)
                raise
        for name, future in futures.items():
            if code := future.result():
                failed[name] = f"exit code {code}; {self.log(name)} says why: {last_words(self.log(name))}"
        return failed

    def stop(self) -> None:
        """Ask every process to save and leave, and start no other."""
        with self._guard:
            self._ended = True
            for process in self._started:
                process.terminate()

    def log(self, name: str) -> Path:
        """Where a job's words go."""
        return self.logs / f"{name}.log"

    def _one(self, job: Job) -> int:
        with self._locked(job) as lock:
            if job.done:  # by the process that held the lock
                return 0
            with self._guard:
                if self._ended:
                    return 0
                slot = self._slots.pop()
                process = self._start(job, slot, lock)
                self._started.append(process)
            code = process.wait()
            if code == 0 and job.run is not None:
                files.write_json(job.run / FLAGS, job.flags)
            with self._guard:
                self._started.remove(process)
                self._slots.append(slot)
        return code

    def _start(self, job: Job, slot: int, lock: int) -> "subprocess.Popen[bytes]":
        threads = str(max(1, cores() // self.at_once))
        given = os.environ.get("OMP_NUM_THREADS") or threads  # set and empty it stands for all cores
        environment = {**os.environ, "OMP_NUM_THREADS": given, "TRANSFORMERS_VERBOSITY": "error"}
        if self.devices > 1:
            seen = os.environ.get("CUDA_VISIBLE_DEVICES")  # those of a shared machine that are ours
            numbers = seen.split(",") if seen else [str(number) for number in range(self.devices)]
            environment["CUDA_VISIBLE_DEVICES"] = numbers[slot % self.devices]
        first, *more = job.command.split("+")
        called = ["-c", IN_TURN, job.command] if more else ["-m", "emu", first]
        argv = [sys.executable, *called, *job.args]
        with self.log(job.name).open("ab") as output:
            # A group of its own: Ctrl-C reaches the study alone, which then asks its runs to save and leave.
            return subprocess.Popen(
                argv, stdout=output, stderr=output, env=environment, pass_fds=[lock], process_group=0
            )

    @contextmanager
    def _locked(self, job: Job) -> Iterator[int]:
        """The job's lock, which its process inherits: it is free when both have let go."""
        descriptor = os.open(self.logs / f"{job.name}.lock", os.O_RDWR | os.O_CREAT)
        try:
            while not self._ended:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    time.sleep(0.5)
            yield descriptor
        finally:
            os.close(descriptor)

    def _show(self, futures: dict[str, "Future[int]"], *, done: int, total: int) -> None:
        """A bar over all runs, with the last words of one that is running, until all have ended."""
        pause = 0.5 if sys.stderr.isatty() else 30
        with Bar(total=total, initial=done, unit="run") as bar:
            while True:
                ended, going = wait(futures.values(), timeout=pause)
                running = [name for name, future in futures.items() if future.running()]
                if running:
                    bar.set_description_str(f"{running[0]}: {last_words(self.log(running[0]))}", refresh=False)
                bar.n = done + len(ended)
                bar.refresh()
                if not going:
                    return


def last_words(log: Path) -> str:
    """The last line of a log that says something, at most 110 characters; of the log no more than its end is read."""
    if not log.exists():
        return "waiting"
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - END))
        text = stream.read(END).decode(errors="replace")
    spoken = [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
    return spoken[-1][:110] if spoken else "waiting"


def require_all(failed: dict[str, str]) -> None:
    """UserError where jobs failed, by what `Runner.run` returns of them."""
    if failed:
        (name, words), *others = failed.items()
        more = f" (and {len(others)} more: {', '.join(other for other, _ in others)})" if others else ""
        raise UserError(f"{name}: {words}{more}")
