"""A Ray cluster of this machine: two nodes of one core each, as if they were two machines, for the Ray engine."""

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from processes import free_port


@contextmanager
def cluster(log: Path, *, nodes: int = 2) -> Iterator[tuple[dict[str, str], list[int]]]:
    """(what a process needs in its environment to find it, the nodes' process ids), until the context ends."""
    ray, port = str(Path(sys.executable).parent / "ray"), free_port()
    found = {"RAY_ADDRESS": f"127.0.0.1:{port}", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    paths = {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    quiet = ["--num-cpus=1", "--object-store-memory=80000000", "--disable-usage-stats", "--block"]
    started: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder, log.open("wb") as out:
        head = ["--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={folder}"]
        try:
            for node in range(nodes):
                argv = [ray, "start", *(head if node == 0 else [f"--address={found['RAY_ADDRESS']}"]), *quiet]
                environment = {**os.environ, **found, **paths}
                started.append(subprocess.Popen(argv, stdout=out, stderr=out, env=environment))
                wait_for(environment, node + 1)
            yield found, [one.pid for one in started]
        finally:
            for one in started:  # asked to end, a node would wait half a minute for its work
                for pid in [one.pid, *below(one.pid)]:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                one.wait()


def wait_for(environment: dict[str, str], nodes: int, *, seconds: float = 60) -> None:
    """Until so many nodes have joined."""
    code = (
        "import ray, time; ray.init(logging_level='ERROR', log_to_driver=False)\n"
        f"while sum(node['Alive'] for node in ray.nodes()) < {nodes}: time.sleep(0.2)"
    )
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with suppress(subprocess.TimeoutExpired):
            asked = subprocess.run(
                [sys.executable, "-c", code], env=environment, capture_output=True, check=False, timeout=20
            )
            if asked.returncode == 0:
                return
    raise AssertionError(f"{nodes} nodes did not come up")


def below(pid: int) -> list[int]:
    """All processes that a process started, and theirs."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        children.setdefault(int(fields[1]), []).append(int(status.parent.name))
    found, rest = list[int](), [pid]
    while rest:
        rest += (mine := children.get(rest.pop(), []))
        found += mine
    return found
