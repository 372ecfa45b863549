"""Drafts by a tiny model of a real class: stored once a picture, marked as the model's, shown for people to correct."""

from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy", reason="the extra `desk` is not installed")

from PIL import Image
from sqlalchemy import select

from embedders import save_vlm
from emu.desk.review import drafting
from emu.desk.review.drafting import Drafter, draft
from emu.desk.review.plan import Pass
from emu.desk.review.results import results
from emu.desk.review.tables import drafts
from emu.errors import UserError
from reviewers import REJECT, Desk, make_review, plan, write_folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_vlm(tmp_path_factory.mktemp("vlm")))


def test_those_that_stayed_are_drafted_once(tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafting, "TOKENS", 6)
    desk = Desk(
        make_review(write_folder(tmp_path, 4), plan(Pass("first", "grid"), Pass("captions", "captions"))), "Ada"
    )
    with pytest.raises(UserError, match="no picture has come to the pass captions yet"):
        draft(desk.review, model)
    gone = min(desk.review.pictures)
    desk.all("Ada", "first", lambda key: REJECT if key == gone else "keep")
    assert draft(desk.review, model) == 3
    with desk.review.database.reading() as connection:
        rows = {row.picture: (row.text, row.model) for row in connection.execute(select(drafts))}
    assert rows.keys() == desk.review.pictures.keys() - {gone}
    assert {of for _, of in rows.values()} == {model}
    assert draft(desk.review, model) == 0
    found = {row.file: row for row in results(desk.review).pictures}
    for key, (text, _) in rows.items():
        row = found[desk.review.pictures[key].file]
        assert (row.text, row.caption_source) == (text, "model")
    assert found[desk.review.pictures[gone].file].caption_source == "source"


def test_the_same_picture_gets_the_same_caption(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafting, "TOKENS", 6)
    drafter = Drafter(model)
    red, blue = (Image.new("RGB", (40, 30), colour) for colour in ("red", "blue"))
    assert drafter.caption(red) == drafter.caption(red) != drafter.caption(blue)


def test_what_cannot_draft_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--draft nowhere/at/all: .*; name a model that takes pictures and text"):
        Drafter("nowhere/at/all")
