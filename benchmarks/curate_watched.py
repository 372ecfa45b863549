"""A command watched from outside: wall and CPU seconds and peak memory of all its processes, and when it had begun."""

import os
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

EVERY = 0.1  # seconds between looks


@dataclass(frozen=True)
class Watched:
    """`memory`: MB at most, the sum over the processes of their proportional set size: what they share counts once.

    `first`: seconds until `begun` was true, wall.
    """

    wall: float
    cpu: float
    memory: float
    first: float | None


def watch(argv: list[str], *, begun: Callable[[], bool] = lambda: False, log: Path) -> Watched:
    """Runs a command to its end. RuntimeError where it fails."""
    began, cpu, memory, first = time.monotonic(), dict[int, float](), 0.0, None
    with log.open("wb") as out:
        process = subprocess.Popen(argv, stdout=out, stderr=out, env={**os.environ, "OMP_NUM_THREADS": "1"})
    tree: dict[int, psutil.Process] = {}
    while process.poll() is None:
        with suppress(psutil.Error):
            root = psutil.Process(process.pid)
            tree |= {one.pid: one for one in (root, *root.children(recursive=True))}
        memory = max(memory, sum(_looked_at(one, cpu) for one in tree.values()))
        if first is None and begun():
            first = time.monotonic() - began
        time.sleep(EVERY)
    if process.returncode:
        raise RuntimeError(f"{argv}: {log.read_text()[-2000:]}")
    return Watched(time.monotonic() - began, sum(cpu.values()), memory / 2**20, first)


def _looked_at(one: psutil.Process, cpu: dict[int, float]) -> float:
    """Notes its CPU seconds so far, without its children's; returns its memory, 0 once it is gone."""
    try:
        times = one.cpu_times()
        cpu[one.pid] = times.user + times.system
        return float(one.memory_full_info().pss)
    except psutil.Error:
        return 0.0
