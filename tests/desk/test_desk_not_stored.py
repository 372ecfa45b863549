"""An answer that cannot be stored: the page keeps it and tries again, and whoever runs the study reads why."""

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the extra `desk` is not installed")

import sqlalchemy

from emu.desk.database import Database
from emu.desk.vote.poll import Poll
from voters import Voter, invite, make_poll, served, write_run


@pytest.fixture
def poll(tmp_path: Path) -> Iterator[Poll]:
    made = make_poll(write_run(tmp_path / "run", 5))
    yield made
    made.database.close()


def stored(file: Path) -> int:
    with sqlite3.connect(file) as connection:
        (count,) = connection.execute("SELECT count(*) FROM events").fetchone()
    connection.close()
    return int(count)


def test_a_disk_that_is_full_is_told_once_and_so_is_that_it_no_longer_is(
    poll: Poll, caplog: pytest.LogCaptureFixture
) -> None:
    most = 1  # pages of the file; SQLite takes no fewer than there are
    sqlalchemy.event.listen(
        poll.database.engine, "begin", lambda c: c.exec_driver_sql(f"PRAGMA max_page_count={most}") and None
    )
    with served(poll) as port:
        rater = Voter(port).join(invite(poll, "Ada")[0])
        shown = rater.hand()["cards"]
        said = {"reason": "x" * 1000}
        while rater.answer(shown[0], "a", **said)[0] == 200:  # in what room the pages of the file have
            shown = rater.hand()["cards"]
            rater.answer(shown[0], "undo")
        assert rater.answer(shown[0], "a", **said)[0] == 503
        rater.hand()  # which has nothing to write
        (told,) = caplog.messages
        assert "database or disk is full" in told
        assert "Ada" not in told
        most = 1_000_000
        assert rater.answer(shown[0], "a", **said)[0] == 200
        assert rater.answer(shown[1], "a", **said)[0] == 200
        assert [message.rpartition(": ")[-1] for message in caplog.messages[1:]] == ["answers are stored again"]


@pytest.mark.parametrize("instead", [None, "another"])
def test_nothing_is_acknowledged_that_goes_into_a_file_that_is_gone(
    poll: Poll, tmp_path: Path, instead: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "run" / "votes.sqlite"
    with served(poll) as port:
        rater = Voter(port).join(invite(poll, "Ada")[0])
        (first, second, *_) = rater.hand()["cards"]
        assert rater.answer(first, "a")[0] == 200
        kept = tmp_path / "kept"
        kept.mkdir()
        for one in file.parent.glob("votes.sqlite*"):
            one.rename(kept / one.name)
        if instead:
            Database.in_file(file).close()
        before = sorted(path.name for path in file.parent.iterdir())
        assert {rater.answer(second, "a")[0] for _ in range(3)} == {503}
        assert rater.post("/hand")[0] == 503
        assert sorted(path.name for path in file.parent.iterdir()) == before  # no empty file is made in its place
        assert stored(kept / file.name) == 1
        (told,) = caplog.messages
        assert "put it back" in told
        for one in file.parent.glob("votes.sqlite*"):
            one.unlink()
        for one in kept.iterdir():
            shutil.move(one, file.parent / one.name)
        assert rater.answer(second, "a")[0] == 200
        assert stored(file) == 2
