"""`emu compare --appeal CLASS_PATH` as a user types it."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emu.cli import main
from emu.commands.compare import judge
from emu.errors import UserError
from emu.layouts import runs

MakeRun = Callable[..., Path]


@pytest.fixture(autouse=True)
def _same_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture
def unjudged(make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run without scores, and in the working directory a judge of the user's own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_eye.py").write_text(
        "import lamp\n\n\nclass Eye(lamp.Brightness):\n"
        "    def __init__(self, taste='bright'):\n        super().__init__(1 if taste == 'bright' else -1)\n"
    )
    run = make_run()
    for scores in run.rglob(runs.SCORES):
        scores.unlink()
    return run


@pytest.mark.parametrize(("given", "win"), [("my_eye.Eye", 100), ("my_eye.Eye:dark", 0)])
def test_pictures_without_scores_are_judged_and_the_scores_stay(
    unjudged: Path, capsys: pytest.CaptureFixture[str], given: str, win: int
) -> None:
    main(["compare", str(unjudged), "--out", "report.html", "--faithfulness", given])
    judged = capsys.readouterr().out
    assert "faithfulness by " in judged
    assert json.loads(Path("verdict.json").read_text())["runs"][0]["faithfulness"]["win"] == win
    main(["compare", str(unjudged), "--out", "report.html"])
    assert capsys.readouterr().out == judged


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("Eye", "Empty module name; give a class such as emu.judges.clip.ClipScore"),
        ("nowhere.Eye", "No module named 'nowhere'"),
        ("my_eye.Ear", "no attribute 'Ear'"),
        ("lamp.Lamp", "no Judge; give a class such as"),
        ("lamp.torch", "no Judge"),
        ("emu.judges.laion.LaionAesthetic", "missing a required argument: 'head'"),
        ("emu.judges.laion.LaionAesthetic:nowhere.pth", "nowhere.pth: not read as weights"),
    ],
)
def test_what_is_no_judge_is_answered_in_one_line(
    unjudged: Path, capsys: pytest.CaptureFixture[str], given: str, said: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["compare", str(unjudged), "--out", "report.html", "--appeal", given])
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not Path("report.html").exists()


def test_numbers_of_a_judge_are_read_as_everywhere_and_text_stays_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "counting_eye.py").write_text(
        "import lamp\n\n\nclass Numbers(lamp.Brightness):\n"
        "    def __init__(self, model: str, *, tie_at: float = 0.1, times: int | None = None):\n"
        "        super().__init__()\n        self.model, self.tie_at, self.times = model, tie_at, times\n"
    )
    made: Any = judge("counting_eye.Numbers:12345678,tie_at=2e-2,times=3", flag="--appeal")
    assert (made.model, made.tie_at, made.times) == ("12345678", 0.02, 3)
    with pytest.raises(UserError, match="--appeal .*: times is 'many', which is no"):
        judge("counting_eye.Numbers:x,times=many", flag="--appeal")
