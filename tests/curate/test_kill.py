"""SIGKILL to the command and all its workers: the same command goes on, and ends with the same bytes."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

import pytest
import yaml

from emu.curate.config import SHARD
from haystack import config, folder
from ray_cluster import below, cluster


class Command:
    """`emu curate` on one haystack, with what its workers looked at in a log.

    Args:
        engine: its name; `nodes` are the process ids of a Ray cluster, which `environment` leads to.
    """

    def __init__(
        self,
        root: Path,
        pictures: int,
        *,
        engine: str = "pool",
        environment: Mapping[str, str] = MappingProxyType({}),
        nodes: Sequence[int] = (),
    ) -> None:
        self.engine, self.environment, self.nodes = engine, environment, nodes
        kinds = [["html", "truncated", "empty", "random", "missing"][i // 100 % 5] if i % 100 == 9 else "good"
                 for i in range(pictures)]  # fmt: skip
        self.root, self.source = root, root / "hay"
        if not self.source.exists():
            folder(self.source, kinds)
        near = {"class_path": "emu.curate.stages.Duplicates", "init_args": {"distance": 0}}
        seen = {"class_path": "haystack.Seen", "at_least": {"mean": 100}}
        best = {"class_path": "emu.curate.stages.Best", "init_args": {"number": 40, "by": {"mean": 1.0}}}
        batches = {"class_path": "haystack.Together", "init_args": {"batch": 7}}
        (root / "config.yaml").write_text(yaml.safe_dump(config(seen, batches, near, best)))

    def start(self, out: Path) -> "subprocess.Popen[bytes]":
        argv = [sys.executable, "-m", "emu", "curate", "-c", str(self.root / "config.yaml"), str(self.source), str(out)]
        paths = os.pathsep.join(sys.path)
        with (self.root / "log").open("ab") as log:
            return subprocess.Popen(
                [*argv, "--workers", "2", "--engine", self.engine],
                env={**os.environ, **self.environment, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def run(self, out: Path) -> float:
        began = time.monotonic()
        process = self.start(out)
        assert process.wait(300) == 0, (self.root / "log").read_text()
        return time.monotonic() - began

    def kill(self, out: Path, *, after: float) -> bool:
        """Whether it was still at work."""
        process = self.start(out)
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return True
        return False

    def kill_worker(self, out: Path, *, after: float) -> bool:
        """SIGKILL to a worker of the cluster alone: the command may end with an error, or go on. Whether it was hit."""
        process = self.start(out)
        time.sleep(after)
        working = [pid for pid in (pid for node in self.nodes for pid in below(node)) if at_work(pid)]
        alive = process.poll() is None and bool(working)
        for pid in working[:1] if alive else []:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(300)  # Daft may wait for it, until it has been silent for long
        return alive


def at_work(pid: int) -> bool:
    """Whether a process of Ray measures a shard, or waits for one."""
    with suppress(OSError):
        name = Path(f"/proc/{pid}/cmdline").read_bytes()
        return name.startswith(b"ray::") and (b"UDFProject" in name or b"Swordfish" in name)
    return False


def left(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*"))
            if path.is_file() and path.name != "lock"}  # fmt: skip


def shards(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (out / ".curate" / "shards").glob("shard-*.parquet")}


def killed_again_and_again(command: Command, *, kills: int, seed: int) -> tuple[int, int]:
    """Kills the command with all that it started, or every third time a worker of a cluster; returns how often each."""
    root = command.root
    took = command.run(root / "whole")
    whole = left(root / "whole")
    rng, drivers, workers, number = random.Random(seed), 0, 0, 0
    while drivers + workers < kills:
        out = root / f"out-{number}"
        number += 1
        for turn in range(3):
            before = shards(out)
            if command.nodes and turn == 2:
                workers += command.kill_worker(out, after=rng.uniform(0.4, 1) * took)
            else:
                drivers += command.kill(out, after=rng.uniform(0.2, took))
            after = shards(out)
            # What was done stays done: a shard is written once. (None are left where the job had come to its end.)
            assert not after or before.items() <= after.items()
            assert not [name for name in left(out) if name.endswith(".tmp") and "/." not in f"/{name}"]
        command.run(out)
        again = left(out)
        assert {name for name in whole.keys() | again.keys() if whole.get(name) != again.get(name)} == set()
    return drivers, workers


def test_killed_anywhere_it_goes_on_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    killed_again_and_again(Command(tmp_path, 2 * SHARD + 50), kills=2, seed=0)


@pytest.mark.slow
def test_twenty_kills(tmp_path: Path) -> None:
    killed_again_and_again(Command(tmp_path, 4000), kills=20, seed=1)


@pytest.mark.slow
def test_killed_over_ray_driver_or_worker_it_ends_with_the_same_bytes(tmp_path: Path) -> None:
    for module in ("daft", "ray"):
        pytest.importorskip(module, reason="the extra `curate-ray` is not installed")
    Command(tmp_path, 2000).run(tmp_path / "pool")
    with cluster(tmp_path / "cluster.log") as (environment, nodes):
        over_ray = Command(tmp_path, 2000, engine="ray", environment=environment, nodes=nodes)
        killed_again_and_again(over_ray, kills=3, seed=3)
    assert left(tmp_path / "whole") == left(tmp_path / "pool")


def test_a_full_disk_is_one_line_and_with_room_it_goes_on(tmp_path: Path) -> None:
    """No file may be longer than 20 kB, as if the disk ended there."""
    command = Command(tmp_path, SHARD + 20)
    argv = ["curate", "-c", str(tmp_path / "config.yaml"), str(command.source), str(tmp_path / "out")]
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))"
    code = f"{limit}; from emu.cli import main; main({argv})"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    failed = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert failed.returncode == 2
    last = failed.stderr.strip().splitlines()[-1]
    assert "cannot be read or written (File too large); mend that and run the same command again" in last
    assert set(shards(tmp_path / "out")) <= {"shard-000001.parquet"}  # the small one
    assert not list((tmp_path / "out").rglob("*.tmp"))
    command.run(tmp_path / "out")
    command.run(tmp_path / "whole")
    assert left(tmp_path / "out") == left(tmp_path / "whole")
