"""Other engines write what the pool writes."""

import os
import subprocess
import sys
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
