"""A whole review on PostgreSQL, on a server of the test's own where one is installed."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("psycopg", reason="psycopg is not installed")
pytest.importorskip("starlette", reason="the extra `desk` is not installed")

import postgres
from emu.desk.database import Database, metadata
from emu.desk.review.pictures import read_pictures
from emu.desk.review.plan import Pass
from emu.desk.review.results import results
from emu.desk.review.study import Review, open_review
from reviewers import CAPTION, Desk, plan, write_folder

pytestmark = pytest.mark.skipif(postgres.programs() is None, reason="PostgreSQL is not installed")


@pytest.fixture
def review(tmp_path: Path) -> Iterator[Review]:
    passes = Pass("first", "grid", votes=2, keep="all"), Pass("captions", "captions")
    folder = write_folder(tmp_path, 30)
    with postgres.server() as url:
        database = Database(url)
        yield open_review(database, folder, read_pictures(folder), plan(*passes))
        metadata.drop_all(database.engine)
        database.close()


def test_raters_at_once_decide_every_picture(review: Review) -> None:
    desk = Desk(review, "Ada", "Bo", "Cleo")
    bad = set(list(review.pictures)[:10])
    said = {name: (lambda key: "reject" if key in bad else "keep") for name in desk.raters}
    threads = [threading.Thread(target=desk.all, args=(name, "first", said[name])) for name in desk.raters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    desk.all("Ada", "captions", CAPTION)
    assert [(one.entered, one.kept, one.open) for one in results(review).passes] == [(30, 20, 0), (20, 20, 0)]
    assert {picture.votes["first"].keep + picture.votes["first"].reject for picture in results(review).pictures} <= {
        2,
        3,
    }
    assert results(review).passes[0].alpha == 1
