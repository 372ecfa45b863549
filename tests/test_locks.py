"""A folder is one process's at a time, and free at once when that is killed."""

import multiprocessing
import os
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from emu.errors import UserError
from emu.storage import locks


def hold(folder: Path, pipe: Connection) -> None:
    with locks.alone(folder, "emu fit"):
        if os.fork() == 0:  # a worker, as a DataLoader's: it outlives its parent
            time.sleep(60)
            os._exit(0)
        pipe.send("held")
        time.sleep(60)


def holder(folder: Path) -> multiprocessing.Process:
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=hold, args=(folder, there))
    process.start()
    assert here.poll(60)
    return process


@pytest.mark.parametrize("spelled", ["run", "link", "run/../run", "run/"])
def test_a_second_one_is_refused_until_the_first_is_killed(tmp_path: Path, spelled: str) -> None:
    process = holder(tmp_path / "run")
    (tmp_path / "link").symlink_to(tmp_path / "run")
    try:
        with (
            pytest.raises(UserError, match="another emu fit is at work there"),
            locks.alone(tmp_path / spelled, "emu fit"),
        ):
            pytest.fail("two at once")
    finally:
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
    with locks.alone(tmp_path / spelled, "emu fit"):
        assert (tmp_path / "run" / locks.NAME).exists()
    assert list((tmp_path / "run").iterdir()) == []


def test_in_one_process_too(tmp_path: Path) -> None:
    with locks.alone(tmp_path / "run", "emu fit"):
        assert not locks.is_free(tmp_path / "run" / locks.NAME)
        with pytest.raises(UserError), locks.alone(tmp_path / "run", "emu fit"):
            pytest.fail("two at once")
    assert not (tmp_path / "run").exists()  # made for nothing, and gone again
    with locks.alone(tmp_path, "emu fit"):
        pass
    assert tmp_path.exists()


def test_one_process_of_a_job_locks_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in locks.RANKS:
        monkeypatch.delenv(name, raising=False)
    assert locks.first_process()
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert not locks.first_process()
