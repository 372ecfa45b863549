"""Real processes that know each other, as `torchrun` starts them; forked, so that nothing is imported again."""

import multiprocessing
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def ranks(world: int, target: Callable[..., Any], *args: Any, log: Path, timeout: float = 240) -> list[int | None]:
    """Run `target(*args)` in `world` processes at once; their exit codes, and what they say in `log`.RANK."""
    context = multiprocessing.get_context("fork")
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(world)}
    shared |= {"TORCHELASTIC_RUN_ID": "test", "LOCAL_WORLD_SIZE": str(world), "GROUP_RANK": "0"}
    started = [
        context.Process(
            target=_one, args=(rank, {**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}, log, target, args)
        )
        for rank in range(world)
    ]
    for one in started:
        one.start()
    for one in started:
        one.join(timeout)
        if one.is_alive():
            one.kill()
            one.join()
    return [one.exitcode for one in started]


def _one(rank: int, environment: dict[str, str], log: Path, target: Callable[..., Any], args: tuple[Any, ...]) -> None:
    os.environ.update(environment)
    with open(f"{log}.{rank}", "wb", buffering=0) as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
        sys.stdout = sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115  pytest has its own in their place
        target(*args)
