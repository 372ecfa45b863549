"""Of a user without a home, with another's home, or one that may only be read: commands do their work all the same."""

import argparse
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from emu.class_paths import trust
from emu.commands import compare
from emu.single_files import kept
from emu.storage import locks, own

NOBODY = 65534


@contextmanager
def another_user(folder: Path, mode: int) -> Iterator[None]:
    """Inside, the folder has this mode, and whoever runs the tests is not the one who may do everything."""
    root = os.geteuid() == 0
    if root:
        for parent in (folder, *folder.parents[:-1]):
            parent.chmod(parent.stat().st_mode | 0o055)
        os.chown(folder, NOBODY, -1)
    before = folder.stat().st_mode
    folder.chmod(mode)
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(before)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv(trust.VARIABLE, "")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("one = 1\n")
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: int) -> None:
        raise KeyError("uid not found")

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)


def score_cache() -> object:
    return compare._bench(argparse.Namespace(device="cpu", cache=None)).cache


def test_a_home_of_ones_own_keeps_what_is_trusted_and_scored(home: Path) -> None:
    trust.take(["--trust", "mine"])
    assert (home / ".config" / "emu" / "trusted.json").is_file()
    assert own.caches() == home / ".cache" / "emu"
    assert score_cache() is not None


def test_without_a_home(home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """As in a container that runs as a number which it has no name for. Where one works is no home."""
    no_home(monkeypatch)
    (home.parent / "~" / ".config" / "emu").mkdir(parents=True)
    (home.parent / "~" / ".config" / "emu" / "trusted.json").write_text("{}")
    assert list(trust.trusted()) == []
    trust.take(["--trust", "mine"])
    assert "mine" in list(trust.trusted())
    assert score_cache() is None
    assert ["for this command alone" in caplog.messages[0], "--cache" in caplog.messages[1]] == [True, True]


@pytest.mark.parametrize("mode", [0, 0o555])
def test_with_a_home_that_one_may_not_write_to(home: Path, mode: int, caplog: pytest.LogCaptureFixture) -> None:
    with another_user(home, mode):
        assert list(trust.trusted()) == []
        trust.take(["--trust", "mine"])
        assert "mine" in list(trust.trusted())
        assert score_cache() is None
    assert len(caplog.messages) == 2
    assert list(home.iterdir()) == []


def test_a_model_that_another_user_made_of_a_file_is_taken_where_it_may_only_be_read(tmp_path: Path) -> None:
    made = tmp_path / "models" / "a"

    def fill(folder: Path) -> None:
        (folder / "model_index.json").write_text("{}")

    kept.made(made, fill)
    (made.parent / ".a.lock").unlink()
    with another_user(made.parent, 0o555):
        assert kept.made(made, never) == made


def never(folder: Path) -> None:
    pytest.fail("made anew")


def test_a_lock_of_another_user_counts_as_held(tmp_path: Path) -> None:
    lock = tmp_path / ".one.lock"
    lock.touch()
    with another_user(lock, 0):
        assert not locks.is_free(lock)
