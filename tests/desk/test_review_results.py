"""What a review ends with: figures that add up, captions with their source, and a folder that can be tuned on."""

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="the extra `desk` is not installed")

from sqlalchemy import insert

from emu.card import people
from emu.data import CuratedData
from emu.data.sources import Entry, read_source
from emu.desk.review import needles
from emu.desk.review.needles import write_needles
from emu.desk.review.plan import Pass
from emu.desk.review.results import results, write_results
from emu.desk.review.study import Review
from emu.desk.review.tables import drafts
from emu.errors import UserError
from emu.layouts.review_json import read_review
from emu.storage.records import to_json
from emu.taste.decisions import decisions
from reviewers import CAPTION, KEEP, REJECT, Desk, make_review, plan, write_folder


def reviewed(folder: Path, count: int = 10) -> Desk:
    """Two raters; every third leaves in the first pass, one of the rest in the second; one caption is rewritten."""
    usual = (Pass("generalists", "grid", votes=2, keep="any", reasons=("dull",)), Pass("specialists", "single"))
    desk = Desk(make_review(write_folder(folder, count), plan(*usual, Pass("captions", "captions"))), "Ada", "Bo")
    bad = set(sorted(desk.review.pictures)[::3])
    desk.all("Ada", "generalists", lambda key: REJECT if key in bad else KEEP)
    desk.all("Bo", "generalists", lambda key: REJECT if key in bad else KEEP)
    worst = desk.standing().entering("specialists")[0]
    desk.all("Ada", "specialists", lambda key: REJECT if key == worst else KEEP)
    looks = desk.hand("Bo", "captions").open
    desk.answer("Bo", "captions", looks[0], CAPTION, text="a new caption")
    desk.all("Bo", "captions", CAPTION)
    return desk


def test_figures_add_up(tmp_path: Path) -> None:
    outcome = results(reviewed(tmp_path).review)
    first, second, third = outcome.passes
    assert [first.entered, second.entered, third.entered] == [10, 6, 5]
    for one in outcome.passes:
        assert one.kept + one.rejected + one.open == one.entered
        assert one.began <= one.ended
    assert first.alpha == 1
    assert second.alpha is None  # one rater a picture
    assert first.votes == 20
    assert sum(row.kept for row in outcome.pictures) == 5
    assert sum(row.left == "generalists" for row in outcome.pictures) == 4
    assert {row["rater"] for row in outcome.raters} == {1, 2}
    assert "Ada" not in to_json(outcome).decode()
    assert [row.caption_source for row in outcome.pictures if row.text == "a new caption"] == ["human"]
    assert [row.caption_source for row in outcome.pictures].count("source") == 9
    assert outcome.guideline.text.startswith("# Light")


def test_a_rater_keeps_the_number_whoever_answers_besides(tmp_path: Path) -> None:
    desk = Desk(make_review(write_folder(tmp_path, 4), plan(Pass("first", "single", votes=2))), "Ada", "Bo")
    desk.all("Bo", "first", KEEP)
    (alone,) = results(desk.review).raters
    desk.all("Ada", "first", REJECT)
    kept = {row["rater"]: row["kept"] for row in results(desk.review).raters}
    assert kept == {alone["rater"]: 4, desk.raters["Ada"]: 0}


def test_the_table_says_it_in_lines(tmp_path: Path) -> None:
    said = write_results(reviewed(tmp_path).review)
    assert said.startswith("generalists: 10 came, 6 stay, 4 left, 0 open, 0 disputed; 20 looks of 2 raters, alpha 1.00")
    assert json.loads((tmp_path / "review.json").read_text())["passes"][0]["kept"] == 6


def test_what_is_written_on_the_way_says_what_is_waited_for(tmp_path: Path) -> None:
    passes = Pass("first", "grid", votes=2), Pass("captions", "captions")
    desk = Desk(make_review(write_folder(tmp_path / "from", 9), plan(*passes)), "Ada", "Bo")
    desk.all("Ada", "first")
    with pytest.raises(UserError, match="no picture has come through all passes yet; first: 9 wait for 1 look"):
        write_needles(desk.review, tmp_path / "to")
    first, second, third, fourth, *_ = desk.hand("Bo", "first").open
    for look, choice in ((first, KEEP), (second, KEEP), (third, KEEP), (fourth, REJECT)):
        desk.answer("Bo", "first", look, choice)
    captioned = desk.hand("Bo", "captions").open[0]
    desk.answer("Bo", "captions", captioned, CAPTION, text="one")
    said = write_needles(desk.review, tmp_path / "to")
    assert said.endswith("1 of 9 pictures; first: 5 wait for 1 look; captions: 2 wait for 1 caption")
    outcome = results(desk.review)
    ends = [(row.kept, row.left, row.waits) for row in outcome.pictures]
    assert sorted(map(str, ends)) == sorted(
        map(
            str,
            [(True, None, None), (False, "first", None)]
            + [(False, None, "first")] * 5
            + [(False, None, "captions")] * 2,
        )
    )
    write_results(desk.review)
    written = read_review(desk.review.folder)
    assert "1 were kept (11.1 %), 1 rejected, 7 are not decided yet" in people.section(written).blocks[0]
    assert sum(decisions(written).values()) == 1
    assert len(decisions(written)) == 2


def test_a_draft_is_a_models_until_a_person_writes(tmp_path: Path) -> None:
    desk = Desk(make_review(write_folder(tmp_path, 3), plan(Pass("captions", "captions"))), "Ada")
    first, second, third = desk.hand("Ada", "captions").open
    with desk.review.database.writing() as connection:
        for look in (first, second, third):
            row = {"picture": look.picture, "text": "a drafted one", "model": "m"}
            connection.execute(insert(drafts).values(row))
    desk.answer("Ada", "captions", first, CAPTION, text="a drafted one")
    desk.answer("Ada", "captions", second, CAPTION, text="one of my own")
    source = {row.file: (row.text, row.caption_source) for row in results(desk.review).pictures}
    files = [desk.review.pictures[look.picture].file for look in (first, second, third)]
    assert [source[file] for file in files] == [
        ("a drafted one", "model"), ("one of my own", "human"), ("a drafted one", "model")
    ]  # fmt: skip


def entries(folder: Path) -> dict[str, Any]:
    found = {}
    for entry in read_source(str(folder), image_column="image", text_column="text"):
        assert isinstance(entry, Entry)
        with entry.open() as file:
            found[entry.name] = (entry.text, entry.columns, file.read())
    return found


def test_what_stayed_is_a_folder_and_the_first_one_is_as_it_was(tmp_path: Path) -> None:
    review = reviewed(tmp_path / "from").review
    before = entries(tmp_path / "from")
    said = write_needles(review, tmp_path / "to")
    assert said == f"{tmp_path / 'to'}: 5 of 10 pictures"
    after = entries(tmp_path / "to")
    assert entries(tmp_path / "from") == before
    kept = {row.file: row for row in results(review).pictures if row.kept}
    assert after.keys() == kept.keys()
    for name, (text, columns, content) in after.items():
        assert content == before[name][2]
        assert text == kept[name].text
        assert columns["license"] == "CC0"
        assert columns.get("source_text", text) == before[name][0]
    assert json.loads((tmp_path / "to" / "review.json").read_text())["passes"][0]["kept"] == 6


def test_who_tunes_on_all_that_was_reviewed_is_told_where_the_rest_is(tmp_path: Path) -> None:
    write_needles(reviewed(tmp_path / "from").review, tmp_path / "to")
    of_folders = []
    for folder in (tmp_path / "from", tmp_path / "to"):
        data = CuratedData(str(folder), resolution=16, bucket_step=16, batch_size=1, num_workers=0)
        data.setup("fit")
        of_folders.append(data.describe())
    assert f"emu review {tmp_path / 'from'} --out SET" in of_folders[0]
    assert "emu review" not in of_folders[1]


def test_killed_on_the_way_the_same_command_ends_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    review = reviewed(tmp_path / "from").review
    write_needles(review, tmp_path / "whole")
    bring, calls = needles._bring, []

    def killed(source: Path, to: Path) -> None:
        if len(calls) == 2:
            (to.parent / f".{to.name}.123.tmp").write_bytes(b"half")
            raise KeyboardInterrupt
        calls.append(to)
        bring(source, to)

    with monkeypatch.context() as dying:
        dying.setattr(needles, "_bring", killed)
        with pytest.raises(KeyboardInterrupt):
            write_needles(review, tmp_path / "to")
    assert not (tmp_path / "to" / "metadata.jsonl").exists()
    write_needles(review, tmp_path / "to")
    assert entries(tmp_path / "to") == entries(tmp_path / "whole")
    assert not list((tmp_path / "to").rglob("*.tmp"))


def test_a_second_end_drops_what_left_since(tmp_path: Path) -> None:
    desk = reviewed(tmp_path / "from")
    write_needles(desk.review, tmp_path / "to")
    others = [tmp_path / "to" / name for name in ("README.md", "prompts.txt", "images/notes.txt")]
    for other in others:
        other.write_text("the user's own")
    key = desk.standing().entering("captions")[0]
    with desk.review.database.reading() as connection:
        from sqlalchemy import select

        from emu.desk.review.tables import looks

        look = connection.execute(select(looks).where(looks.c.picture == key, looks.c["pass"] == "specialists")).one()
    desk.answer("Ada", "specialists", look, REJECT)
    write_needles(desk.review, tmp_path / "to")
    assert len(entries(tmp_path / "to")) == 4
    assert len(list((tmp_path / "to" / "images").glob("*.png"))) == 4
    assert [other.read_text() for other in others] == ["the user's own"] * 3


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    review = reviewed(tmp_path / "from").review
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "mine.txt").write_text("keep me")
    for out in (tmp_path / "to", tmp_path / "from"):
        with pytest.raises(UserError, match="holds something else; name a new folder"):
            write_needles(review, out)
    assert (tmp_path / "to" / "mine.txt").read_text() == "keep me"


@pytest.mark.parametrize("answered", [False, True])
def test_nothing_to_tell_is_said(tmp_path: Path, answered: bool) -> None:
    review: Review = make_review(write_folder(tmp_path / "from", 2))
    if answered:
        Desk(review, "Ada").all("Ada", "generalists", REJECT)
    with pytest.raises(UserError, match="no picture has come through" if answered else "no answers yet"):
        write_needles(review, tmp_path / "to")
    assert not (tmp_path / "to").exists()
