"""Studies as real processes: killed and gone on with, failing arms, and what is not done again."""

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from emu.study.processes import Job, Runner, last_words

STUDY = """
base: latent/tiny
world: {prompts: 4, needles: {needles: 16}}
set:
  data.root: "{world}/needles"
  data.prompts: "{world}/prompts.jsonl"
  data.batch_size: 4
  data.held_out: 0
  quality.batch: 4
  quality.max_steps: 2
  quality.check_every: 1
  model.init_args.sampler: {num_inference_steps: 2, guidance_scale: 3.0}
reference: all
arms:
  few: {data.num_pictures: 8}
  all: {}
"""


def command(*args: str) -> dict[str, Any]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return {"args": [sys.executable, "-m", "emu", "study", *args], "env": environment, "text": True}


def until(true: Any, *, seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def kill(pid: int) -> None:
    """SIGKILL to a process, then to those that it started."""
    started = [int(one) for tasks in Path(f"/proc/{pid}/task").glob("*/children") for one in tasks.read_text().split()]
    for one in (pid, *started):
        os.kill(one, signal.SIGKILL)


def made(run: Path) -> dict[str, int]:
    return {str(path.relative_to(run)): path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_killed_in_its_second_arm_the_same_command_goes_on(tmp_path: Path) -> None:
    (tmp_path / "two.yaml").write_text(STUDY)
    out = tmp_path / "out"
    asked = command(str(tmp_path / "two.yaml"), "--out", str(out))
    with (tmp_path / "said").open("w") as said:
        begun = subprocess.Popen(**asked, stdout=said, stderr=said)
        until(lambda: (out / "all-0" / "step-000000" / "samples.jsonl").exists() or begun.poll() is not None)
    assert begun.poll() is None, (tmp_path / "said").read_text()
    kill(begun.pid)
    begun.wait()
    finished, half = made(out / "few-0"), made(out / "all-0")
    assert "flags.json" in finished
    assert "flags.json" not in half
    done = subprocess.run(**asked, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert made(out / "few-0") == finished
    told = json.loads((out / "study.json").read_text())
    assert [*told["arms"]] == ["few", "all"]
    assert [check["step"] for check in told["arms"]["all"]["curve"]] == [1, 2]
    assert told["arms"]["few"]["against"]["appeal"]["n"] == 4
    again = made(out / "all-0")
    shown = subprocess.run(**asked, capture_output=True, check=True).stdout
    assert shown == done.stdout
    assert made(out / "all-0") == again


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path / "logs", at_once=2)


def failing(name: str, tmp_path: Path) -> Job:
    return Job(name, "fit", ["-c", "latent/tinny"], run=tmp_path / name, flags=["-c", "latent/tinny"])


def test_a_failure_is_told_and_the_others_go_on(runner: Runner, tmp_path: Path) -> None:
    jobs = [failing("a", tmp_path), Job("b", "plan", ["--help"]), failing("c", tmp_path)]
    failed = runner.run(jobs)
    assert sorted(failed) == ["a", "c"]
    assert "did you mean latent/tiny?" in failed["a"]
    assert "usage: emu plan" in runner.log("b").read_text()
    assert not (tmp_path / "a" / "flags.json").exists()


def test_commands_of_one_process_run_in_turn_until_one_fails(runner: Runner, tmp_path: Path) -> None:
    failed = runner.run([Job("a", "plan+fit", ["--help"]), Job("b", "encode+fit", ["-c", "latent/tinny"])])
    assert re.findall(r"usage: emu (\w+)", runner.log("a").read_text()) == ["plan", "fit"]
    assert sorted(failed) == ["b"]
    assert runner.log("b").read_text().count("did you mean latent/tiny?") == 1


def test_a_run_counts_as_done_by_its_flags(tmp_path: Path) -> None:
    job = Job("a", "fit", [], run=tmp_path, flags=["--data.seed=1"])
    assert not job.done
    (tmp_path / "quality.json").write_text('{"stop_reason": "step 2: the end"}')
    assert not job.done
    (tmp_path / "flags.json").write_text('["--data.seed=1"]')
    assert job.done
    (tmp_path / "flags.json").write_text('["--data.seed=2"]')
    assert not job.done


def test_a_run_that_another_process_holds_is_waited_for(runner: Runner) -> None:
    """As where the study was killed and its run lives on."""
    runner.logs.mkdir()
    with (runner.logs / "a.lock").open("w") as holder, ThreadPoolExecutor(1) as pool:
        fcntl.flock(holder, fcntl.LOCK_EX)
        waiting = pool.submit(runner.run, [Job("a", "plan", ["--help"])])
        time.sleep(2)
        assert not runner.log("a").exists()
        fcntl.flock(holder, fcntl.LOCK_UN)
        assert waiting.result(timeout=60) == {}
    assert "usage" in runner.log("a").read_text()


def test_one_that_waits_can_be_stopped(runner: Runner) -> None:
    runner.logs.mkdir()
    with (runner.logs / "a.lock").open("w") as holder, ThreadPoolExecutor(1) as pool:
        fcntl.flock(holder, fcntl.LOCK_EX)
        waiting = pool.submit(runner.run, [Job("a", "plan", ["--help"])])
        time.sleep(1)
        runner.stop()
        assert waiting.result(timeout=60) == {}
    assert not runner.log("a").exists()


def test_last_words_are_the_last_line_that_says_something(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert last_words(log) == "waiting"
    log.write_text("one\ntwo\rthree\r\n  \n")
    assert last_words(log) == "three"


def test_of_a_long_log_no_more_than_its_end_is_read(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as stream:
        stream.truncate(1 << 27)  # a hole: no disk is written
        stream.seek(0, os.SEEK_END)
        stream.write("\nfast genug: \N{LATIN SMALL LETTER U WITH DIAERESIS}\n".encode())
    tracemalloc.start()
    try:
        assert last_words(log) == "fast genug: \N{LATIN SMALL LETTER U WITH DIAERESIS}"
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_runs_side_by_side_have_the_study_s_own_devices(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found: list[str] = []
    monkeypatch.setattr(subprocess, "Popen", lambda argv, **how: found.append(how["env"]["CUDA_VISIBLE_DEVICES"]))
    runner, job = Runner(tmp_path, at_once=2, devices=2), Job("a", "fit", [])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for slot in (0, 1):
        runner._start(job, slot, 0)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    for slot in (0, 1):
        runner._start(job, slot, 0)
    assert found == ["0", "1", "5", "7"]
