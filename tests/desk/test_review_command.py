"""`emu review` as it is given: what cannot be reviewed is one line, and the folder stays as it was."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy", reason="the extra `desk` is not installed")

from emu.cli import main
from emu.desk.review.plan import Pass
from emu.desk.review.study import FILE
from reviewers import Desk, make_review, plan, write_folder
from voters import write_run


def refusal(capsys: pytest.CaptureFixture[str], *argv: object) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(["review", *map(str, argv)])
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def three_passes(folder: Path) -> Path:
    """The plan of `reviewers.plan`, as a file."""
    path = folder / "plan.yaml"
    path.write_text(
        "passes:\n- {name: generalists, page: grid, keep: any, reasons: [dull, blurred]}\n"
        "- {name: specialists, page: single}\n- {name: captions, page: captions}\n"
    )
    return path


def test_what_is_no_folder_of_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no such folder" in refusal(capsys, tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    assert "no metadata.jsonl there" in refusal(capsys, tmp_path / "empty")
    (tmp_path / "empty" / "metadata.jsonl").write_text("")
    assert "holds no picture" in refusal(capsys, tmp_path / "empty")
    assert [path.name for path in (tmp_path / "empty").iterdir()] == ["metadata.jsonl"]


def test_a_picture_that_is_missing_or_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_folder(tmp_path, 3)
    make_review(folder).database.close()
    (folder / "images" / "0001.png").write_bytes((folder / "images" / "0000.png").read_bytes())
    assert "is a review of other pictures" in refusal(capsys, folder, "--raters", "-c", three_passes(tmp_path))
    (folder / "images" / "0001.png").unlink()
    assert "no such file" in refusal(capsys, folder, "--raters", "-c", three_passes(tmp_path))


def test_another_plan_than_it_was_begun_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_folder(tmp_path, 3)
    make_review(folder, plan(Pass("first", "grid"))).database.close()
    assert "was begun with another plan" in refusal(capsys, folder, "--raters")


@pytest.mark.parametrize("flag", ["--raters", "--results", "--revoke=Ada", "--out=needles"])
def test_what_needs_a_review_that_was_begun(tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str) -> None:
    folder = write_folder(tmp_path, 3)
    assert "no review yet; open the page first" in refusal(capsys, folder, flag)
    assert not (folder / FILE).exists()


def test_a_picture_that_comes_twice_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of its two captions one would be lost."""
    folder = write_folder(tmp_path, 3)
    lines = (folder / "metadata.jsonl").read_text().splitlines()
    again = lines[0].replace("number0", "another caption")
    (folder / "metadata.jsonl").write_text("\n".join([*lines, again]) + "\n")
    assert "names images/0000.png twice" in refusal(capsys, folder, "--invite", "Ada")
    assert not (folder / FILE).exists()


def test_the_database_of_the_other_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither page writes into what the other holds."""
    folder, run = write_folder(tmp_path, 3), write_run(tmp_path / "run", 3)
    make_review(folder).database.close()
    main(["vote", str(run), "--invite", "Ada", "--db", f"sqlite:///{tmp_path}/votes.db"])
    capsys.readouterr()
    others = {"vote": (run, folder / FILE), "review": (folder, tmp_path / "votes.db")}
    for command, (of, database) in others.items():
        before = tables(database)
        with pytest.raises(SystemExit) as stopped:
            main([command, str(of), "--invite", "Eve", "--db", f"sqlite:///{database}"])
        assert stopped.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.endswith("holds the answers of another page of emu; give another --db")
        assert tables(database) == before


def tables(database: Path) -> list[str]:
    """All that an sqlite file holds, as SQL."""
    with closing(sqlite3.connect(database)) as connection:
        return list(connection.iterdump())


def test_flags_that_do_not_go_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_folder(tmp_path, 3)
    assert "add --invite NAME" in refusal(capsys, folder, "--pass", "generalists")
    assert "the plan has generalists" in refusal(capsys, folder, "--invite", "Ada", "--pass", "experts")
    assert "needs raters with links" in refusal(capsys, folder, "--host", "0.0.0.0", "--port", "0")


def test_invited_listed_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, config = write_folder(tmp_path, 3), str(three_passes(tmp_path))
    main(["review", str(folder), "-c", config, "--invite", "Ada", "--pass", "specialists", "--arbiter"])
    assert capsys.readouterr().out.startswith("http://127.0.0.1:8766/join/")
    desk = Desk(make_review(folder), "Bo")
    desk.all("Bo", "generalists")
    desk.review.database.close()
    main(["review", str(folder), "-c", config, "--raters"])
    assert capsys.readouterr().out.splitlines() == [
        "Ada: 0 of specialists (arbiter)",
        "Bo: 3 of generalists, 0 of specialists, 0 of captions",
        "generalists: 3 of 3 decided, 3 stay",
        "specialists: 0 of 3 decided, 0 stay; 3 wait for 1 look",
        "captions: 0 of 0 decided, 0 stay",
    ]
    main(["review", str(folder), "-c", config, "--results"])
    assert "generalists: 3 came, 3 stay" in capsys.readouterr().out
    assert json.loads((folder / "review.json").read_text())["passes"][0]["kept"] == 3
