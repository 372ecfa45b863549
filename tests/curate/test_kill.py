"""SIGKILL to the command and all its workers: the same command goes on, and ends with the same bytes."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from emu.curate.config import SHARD
from haystack import config, folder


class Command:
    """`emu curate` on one haystack, with what its workers looked at in a log."""

    def __init__(self, root: Path, pictures: int) -> None:
        kinds = [["html", "truncated", "empty", "random", "missing"][i // 100 % 5] if i % 100 == 9 else "good"
                 for i in range(pictures)]  # fmt: skip
        self.root, self.source = root, folder(root / "hay", kinds)
        near = {"class_path": "emu.curate.stages.Duplicates", "init_args": {"distance": 0}}
        seen = {"class_path": "haystack.Seen", "at_least": {"mean": 100}}
        best = {"class_path": "emu.curate.stages.Best", "init_args": {"number": 40, "by": {"mean": 1.0}}}
        (root / "config.yaml").write_text(yaml.safe_dump(config(seen, near, best)))

    def start(self, out: Path) -> "subprocess.Popen[bytes]":
        argv = [sys.executable, "-m", "emu", "curate", "-c", str(self.root / "config.yaml"), str(self.source), str(out)]
        paths = os.pathsep.join(sys.path)
        with (self.root / "log").open("ab") as log:
            return subprocess.Popen(
                [*argv, "--workers", "2"],
                env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
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


def left(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*"))
            if path.is_file() and path.name != "lock"}  # fmt: skip


def shards(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (out / ".curate" / "shards").glob("shard-*.parquet")}


def killed_again_and_again(root: Path, *, pictures: int, kills: int, seed: int) -> None:
    command = Command(root, pictures)
    took = command.run(root / "whole")
    whole = left(root / "whole")
    rng, done, number = random.Random(seed), 0, 0
    while done < kills:
        out = root / f"out-{number}"
        number += 1
        for _ in range(3):
            before = shards(out)
            done += command.kill(out, after=rng.uniform(0.2, took))
            after = shards(out)
            # What was done stays done: a shard is written once. (None are left where the job had come to its end.)
            assert not after or before.items() <= after.items()
            assert not [name for name in left(out) if name.endswith(".tmp") and "/." not in f"/{name}"]
        command.run(out)
        assert left(out) == whole


def test_killed_anywhere_it_goes_on_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    killed_again_and_again(tmp_path, pictures=2 * SHARD + 50, kills=2, seed=0)


@pytest.mark.slow
def test_twenty_kills(tmp_path: Path) -> None:
    killed_again_and_again(tmp_path, pictures=4000, kills=20, seed=1)


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
    assert "cannot be written (File too large); mend that and run the same command again" in last
    assert set(shards(tmp_path / "out")) <= {"shard-000001.parquet"}  # the small one
    assert not list((tmp_path / "out").rglob("*.tmp"))
    command.run(tmp_path / "out")
    command.run(tmp_path / "whole")
    assert left(tmp_path / "out") == left(tmp_path / "whole")
