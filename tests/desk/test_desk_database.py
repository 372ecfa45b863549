"""Where answers are kept: nobody but the owner reads the file, whatever it was named by, and errors name nobody."""

import os
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy", reason="the extra `desk` is not installed")

from sqlalchemy import exc, insert

from emu.desk.database import Database, raters


@pytest.fixture(autouse=True)
def _open_umask() -> object:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("url", ["sqlite:///{}", "sqlite+pysqlite:///{}", "sqlite:///file:{}?uri=true"])
def test_every_file_of_a_database_is_its_owners_alone(tmp_path: Path, url: str, there: bool) -> None:
    file = tmp_path / "votes.sqlite"
    if there:
        file.touch(0o666)
    database = Database(url.format(file))
    with database.writing() as connection:
        connection.execute(insert(raters).values(name="Ada", revoked=False))
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == dict.fromkeys(["votes.sqlite", "votes.sqlite-wal", "votes.sqlite-shm"], 0o600)
    database.close()


def test_an_error_of_the_database_names_no_rater(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'votes.sqlite'}")
    with pytest.raises(exc.IntegrityError) as told, database.writing() as connection:  # noqa: PT012
        for _ in range(2):
            connection.execute(insert(raters).values(name="Ada Lovelace", revoked=False))
    assert "Ada" not in str(told.value)
    database.close()
