"""Real processes that know each other, as `torchrun` starts them.

They are forked from a server that has imported everything and computed nothing: autograd's threads survive no fork.
"""

import faulthandler
import logging
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["emu.training.fit", "emu.models", "emu.sampling.sample", "emu.exporting.export", "emu.compare.report"]
)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def start(world: int, target: Callable[..., Any], *args: Any, log: Path) -> list[BaseProcess]:
    """`target(*args)` in `world` processes at once; what they say goes to `log`.RANK."""
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(world)}
    shared |= {"TORCHELASTIC_RUN_ID": "test", "LOCAL_WORLD_SIZE": str(world), "GROUP_RANK": "0"}
    own = [{**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(world)]
    started = [CONTEXT.Process(target=_one, args=(each, f"{log}.{each['RANK']}", target, args)) for each in own]
    for one in started:
        one.start()
    return list(started)


def ranks(world: int, target: Callable[..., Any], *args: Any, log: Path, timeout: float = 240) -> list[int | None]:
    """The exit codes of `target(*args)` in `world` processes; those that take too long are killed."""
    return ended(start(world, target, *args, log=log), timeout)


def ended(started: list[BaseProcess], timeout: float) -> list[int | None]:
    """Exit codes; a process that takes too long says where it is, and is ended."""
    until = time.monotonic() + timeout
    for one in started:
        one.join(max(0.0, until - time.monotonic()))
        if one.is_alive():
            os.kill(one.pid or 0, signal.SIGABRT)
            one.join()
    return [one.exitcode for one in started]


def _one(environment: dict[str, str], log: str, target: Callable[..., Any], args: tuple[Any, ...]) -> None:
    os.environ.update(environment)
    with open(log, "wb", buffering=0) as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
        sys.stdout = sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
        for name in ("lightning.pytorch", "lightning.fabric", None):
            logging.getLogger(name).handlers = [logging.StreamHandler(sys.stderr)]
            logging.getLogger(name).setLevel(logging.INFO)
        faulthandler.enable()  # SIGABRT then says where a process hangs
        target(*args)
