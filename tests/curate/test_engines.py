"""Other engines write what the pool writes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from emu.curate.stage import Row, Stage
from haystack import SEEN, config, folder
from ray_cluster import below, cluster


class Who(Stage):
    """Writes down which process started its worker: of a cluster, the machine's own."""

    name = "who"

    def __init__(self, log: str) -> None:
        self.log = log

    def measure(self, picture: Any) -> Row:
        with open(self.log, "a") as file:
            file.write(f"{os.getppid()}\n")
        return {}


class Slow(Stage):
    """Takes a while, and says who it is."""

    name = "slow"

    def __init__(self, log: str) -> None:
        self.log = log

    def measure(self, picture: Any) -> Row:
        with open(self.log, "a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(0.02)
        return {}


def run(source: Path, out: Path, engine: str, **more: str) -> None:
    """In a process of its own: a runner of Daft is set once."""
    argv = [sys.executable, "-m", "emu", "curate", "-c", str(out.parent / "config.yaml"), str(source), str(out)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1", **more}
    subprocess.run([*argv, "--engine", engine, "--workers", "2"], env=environment, check=True, timeout=300)


def left(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


@pytest.mark.parametrize("engine", ["daft", pytest.param("ray", marks=pytest.mark.slow)])
def test_every_engine_writes_the_same_bytes(tmp_path: Path, engine: str) -> None:
    for module in dict.fromkeys(("daft", engine)):
        pytest.importorskip(module, reason=f"the extra `curate-{engine}` is not installed")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config(SEEN)))
    source = folder(tmp_path / "hay", ["good", "html", "truncated", "cmyk"] * 100)
    run(source, tmp_path / "pool", "pool")
    run(source, tmp_path / engine, engine)
    assert left(tmp_path / "pool") == left(tmp_path / engine)


@pytest.mark.slow
def test_a_cluster_of_two_machines_writes_the_same_bytes(tmp_path: Path) -> None:
    """Both have a worker at work, and find what they need in the folder that all see."""
    for module in ("daft", "ray"):
        pytest.importorskip(module, reason="the extra `curate-ray` is not installed")
    who = {"class_path": "test_engines.Who", "init_args": {"log": str(tmp_path / "who")}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config(who, SEEN)))
    source = folder(tmp_path / "hay", ["good", "html", "truncated", "cmyk"] * 450)
    run(source, tmp_path / "pool", "pool")
    (tmp_path / "who").unlink()
    with cluster(tmp_path / "cluster.log") as (environment, nodes):
        run(source, tmp_path / "ray", "ray", **environment)
        parents = {pid: node for node in nodes for pid in (node, *below(node))}
        at_work = {int(line) for line in (tmp_path / "who").read_text().splitlines()}
        assert {parents[pid] for pid in at_work} == set(nodes)
    assert left(tmp_path / "pool") == left(tmp_path / "ray")


@pytest.mark.slow
def test_workers_that_are_not_heard_of_end_the_job_and_the_same_command_goes_on(tmp_path: Path) -> None:
    """Both are stopped, and nobody tells Daft: it would wait for them for ever."""
    for module in ("daft", "ray"):
        pytest.importorskip(module, reason="the extra `curate-ray` is not installed")
    slow = {"class_path": "test_engines.Slow", "init_args": {"log": str(tmp_path / "pids")}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config(slow)))
    source = folder(tmp_path / "hay", ["good"] * 600)
    argv = ["curate", "-c", str(tmp_path / "config.yaml"), str(source), str(tmp_path / "ray"), "--engine", "ray"]
    code = f"import emu.curate.daft as one; one.SILENT = 8.0; from emu.cli import main; main({argv})"
    with cluster(tmp_path / "cluster.log") as (found, _):
        environment = {**os.environ, **found, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
        job = subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE, text=True)
        until = time.monotonic() + 120
        while time.monotonic() < until and not (tmp_path / "pids").exists():
            time.sleep(0.1)
        time.sleep(2)
        for pid in set((tmp_path / "pids").read_text().split()):
            os.kill(int(pid), signal.SIGSTOP)
        said = job.communicate(timeout=120)[1]
        assert job.returncode == 2
        assert "no worker gives a sign of life; run the same command again" in said
    run(source, tmp_path / "ray", "pool")
    run(source, tmp_path / "pool", "pool")
    assert left(tmp_path / "pool") == left(tmp_path / "ray")
