"""One answer a look and turn, whatever arrives; what a pass does not take is refused and changes nothing."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="the extra `desk` is not installed")

from sqlalchemy import func, select

from emu.desk.review.tables import look_events
from emu.errors import UserError
from reviewers import CAPTION, KEEP, REJECT, Desk, make_review, write_folder


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(make_review(write_folder(tmp_path, 4)), "Ada", "Bo")


def events(desk: Desk) -> int:
    with desk.review.database.reading() as connection:
        return int(connection.execute(select(func.count()).select_from(look_events)).scalar() or 0)


def test_what_comes_twice_counts_once(desk: Desk) -> None:
    look = desk.hand("Ada", "generalists").open[0]
    for _ in range(3):
        assert desk.answer("Ada", "generalists", look, REJECT, reason="dull") == "stored"
    assert events(desk) == 1
    assert desk.answer("Ada", "generalists", look, REJECT, reason="blurred") == "stale"
    assert desk.answer("Ada", "generalists", look, KEEP) == "stale"
    assert desk.answer("Ada", "generalists", look, KEEP, turn=2) == "stale"
    assert events(desk) == 1
    assert desk.answer("Ada", "generalists", look, KEEP, turn=1) == "stored"
    assert desk.standing().of(desk.review.named("generalists"), look.picture).keep == 1
    assert events(desk) == 2


def test_a_look_is_its_own_raters_in_its_own_pass(desk: Desk) -> None:
    look = desk.hand("Ada", "generalists").open[0]
    assert desk.answer("Bo", "generalists", look) == "unknown"
    assert desk.answer("Ada", "specialists", look) == "unknown"
    assert events(desk) == 0


@pytest.mark.parametrize(
    ("of", "choice", "text"),
    [
        ("generalists", "maybe", ""),
        ("generalists", CAPTION, "a boat"),
        ("captions", KEEP, ""),
        ("captions", CAPTION, ""),
        ("captions", CAPTION, " \n"),
    ],
)
def test_what_a_pass_does_not_take_is_refused(desk: Desk, of: str, choice: str, text: str) -> None:
    for earlier in ("generalists", "specialists"):
        if of == "captions":
            desk.all("Ada", earlier)
    before = events(desk)
    look: Any = desk.hand("Ada", of).open[0]
    with pytest.raises(UserError, match="no answer of this pass"):
        desk.answer("Ada", of, look, choice, text=text)
    assert events(desk) == before
