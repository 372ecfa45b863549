"""A model that workers share: its process may be killed, and the workers that ask it, and nothing is lost."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import emu.curate
from emu.curate import Funnel, curate
from emu.curate.models import RETRIES
from emu.curate.pool import Pool
from emu.curate.stage import Row, Stage
from emu.errors import UserError
from haystack import SEEN, Here, config, folder


class Large(Stage):
    """Of a model that workers share. Kills: itself, `dies` times, or the worker that asks, once.

    Args:
        log: gets a line a picture: the process, how many threads it may use, and the picture's name.
        dies: how often its process is killed at each picture whose name begins with "killer".
        asker: another process is killed there, of those that the log `workers` names.
    """

    name = "large"
    side = 16
    shared = True
    columns = {"light": "float64"}

    def __init__(self, log: str, dies: int = 0, workers: str | None = None, mends: bool = False) -> None:
        self.log, self.dies, self.workers, self.mends = Path(log), dies, workers, mends

    def measure(self, picture: Any) -> Row:
        if self.mends:
            raise UserError("no such model")
        before = self.log.read_text().count(f" {picture.name}\n") if self.log.exists() else 0
        with self.log.open("a") as file:
            file.write(f"{os.getpid()} {self.threads} {picture.name}\n")
        if picture.name.startswith("killer") and before < self.dies:
            killed = int(Path(self.workers).read_text().split()[0]) if self.workers else os.getpid()
            os.kill(killed, signal.SIGKILL)
        if picture.name.startswith("endless"):
            time.sleep(600)
        if picture.name.startswith("odd"):
            raise ZeroDivisionError("of this one")
        return {"light": float(np.asarray(picture.small(self.side)).mean())}


class Worker(Stage):
    """Says in which process it is, before a shared model is asked."""

    name = "worker"

    def __init__(self, log: str) -> None:
        self.log = Path(log)

    def measure(self, picture: Any) -> Row:
        if picture.name.startswith(("killer", "endless")):
            self.log.write_text(f"{os.getpid()}\n")
        return {}


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emu.curate, "SHARD", 8)


def stage(kind: str, **init_args: Any) -> dict[str, Any]:
    return {"class_path": f"test_shared_models.{kind}", "init_args": init_args}


def rows(tmp_path: Path, kinds: list[str], *stages: dict[str, Any]) -> list[dict[str, Any]]:
    source = folder(tmp_path / "hay", kinds)
    curate(Funnel(config(*stages, SEEN)), str(source), tmp_path / "out", engine=Pool(2))
    found: list[dict[str, Any]] = pq.read_table(tmp_path / "out" / "manifest.parquet").to_pylist()
    return found


def test_one_process_measures_for_all_workers_what_each_would(tmp_path: Path) -> None:
    log = tmp_path / "log"
    found = rows(tmp_path, ["good"] * 20, stage("Large", log=str(log)))
    said = [line.split() for line in log.read_text().splitlines()]
    assert len({pid for pid, *_ in said}) == 1
    assert {threads for _, threads, _ in said} == {"2"}
    alone = Funnel(config(stage("Large", log=str(tmp_path / "alone")), SEEN))
    curate(alone, str(tmp_path / "hay"), tmp_path / "here", engine=Here())
    here = pq.read_table(tmp_path / "here" / "manifest.parquet").to_pylist()
    assert [row["light"] for row in found] == [row["light"] for row in here]
    assert all(row["status"] == "kept" for row in found)


@pytest.mark.parametrize(("dies", "failed"), [(1, 0), (RETRIES + 1, 2)])
def test_a_killed_process_of_models_costs_at_most_the_picture_that_it_dies_of(
    tmp_path: Path, dies: int, failed: int
) -> None:
    kinds = [*["good"] * 3, "killer", *["good"] * 6, "killer", *["good"] * 9]
    found = rows(tmp_path, kinds, stage("Large", log=str(tmp_path / "log"), dies=dies))
    assert [row["status"] for row in found].count("failed") == failed
    assert all("its model's process died of it" in row["reason"] for row in found if row["status"] == "failed")
    assert [row["status"] for row in found].count("kept") == len(kinds) - failed


def test_a_worker_that_is_killed_while_it_waits_is_replaced(tmp_path: Path) -> None:
    log, workers = str(tmp_path / "log"), str(tmp_path / "workers")
    kinds = [*["good"] * 3, "killer", *["good"] * 12]
    found = rows(tmp_path, kinds, stage("Worker", log=workers), stage("Large", log=log, dies=1, workers=workers))
    assert all(row["status"] == "kept" for row in found)


def test_what_a_shared_model_raises_costs_the_picture_and_what_the_user_can_mend_ends_the_job(tmp_path: Path) -> None:
    found = rows(tmp_path, ["good", "odd", "good"], stage("Large", log=str(tmp_path / "log")))
    assert [row["reason"] for row in found] == [None, "ZeroDivisionError: of this one", None]
    (tmp_path / "again").mkdir()
    with pytest.raises(UserError, match="no such model"):
        rows(tmp_path / "again", ["good"], stage("Large", log=str(tmp_path / "log"), mends=True))


COMMAND = (
    "import json, sys; from pathlib import Path\n"
    "from emu.curate import Funnel, curate; from emu.curate.pool import Pool\n"
    "curate(Funnel(json.loads(sys.argv[1])), sys.argv[2], Path(sys.argv[3]), engine=Pool(2))"
)


def runs(pid: int) -> bool:
    """Whether it is there, and more than a line in the table of processes that nobody has read."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except OSError:
        return False


def within(seconds: float, true: Callable[[], bool]) -> bool:
    until = time.monotonic() + seconds
    while not true() and time.monotonic() < until:
        time.sleep(0.05)
    return true()


def test_of_a_command_that_is_killed_no_process_stays(tmp_path: Path) -> None:
    log, workers = tmp_path / "log", tmp_path / "workers"
    given = config(stage("Worker", log=str(workers)), stage("Large", log=str(log)))
    source = folder(tmp_path / "hay", ["endless", "good"])
    words = [sys.executable, "-c", COMMAND, json.dumps(given), str(source), str(tmp_path / "out")]
    command = subprocess.Popen(words, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    try:
        assert within(60, lambda: log.exists() and log.read_text() != "")
        pids = [int(file.read_text().split()[0]) for file in (log, workers)]
        assert all(map(runs, pids))
    finally:
        command.kill()
        command.wait()
    assert within(30, lambda: not any(map(runs, pids)))
