"""What cannot be compared is answered in one line that says what to do; nothing is guessed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emu.cli import main
from emu.compare import compare
from emu.errors import UserError
from emu.layouts import runs

MakeRun = Callable[..., Path]


def refusal(folders: list[Path], out: Path) -> str:
    with pytest.raises(UserError) as refused:
        compare(folders, out=out / "report.html")
    assert not (out / "report.html").exists()
    assert len(str(refused.value).splitlines()) == 1
    return str(refused.value)


def test_runs_that_share_no_prompt_and_seed(make_run: MakeRun, tmp_path: Path) -> None:
    other = {"prompt": "of another file"}
    said = refusal([make_run("latent"), make_run("muse", before=other, after=other)], tmp_path)
    assert said.startswith("latent and muse share no prompt and seed; compare runs that drew one prompt file")


def test_sides_that_share_no_prompt_and_seed(make_run: MakeRun, tmp_path: Path) -> None:
    assert "step 0 and step 20 share prompts, and no seed of one" in refusal([make_run(after={"seed": 99})], tmp_path)


def test_different_sampler_settings(make_run: MakeRun, tmp_path: Path) -> None:
    said = refusal([make_run(after={"sampler": {"steps": 6}})], tmp_path)
    assert said.endswith("before and after differ in the sampler's steps; draw both alike")


@pytest.mark.parametrize("broken", ["absent", "half"])
def test_a_missing_picture(make_run: MakeRun, tmp_path: Path, broken: str) -> None:
    run = make_run(size=64)
    picture = runs.step_folder(run, 20) / "00002.png"
    whole = picture.read_bytes()
    picture.unlink()
    if broken == "half":
        picture.write_bytes(whole[: len(whole) // 2])
    assert refusal([run], tmp_path) == f"{picture}: absent or not a picture; draw the step again"


@pytest.mark.parametrize("score", [float("nan"), float("inf"), "0.5", None])
def test_a_score_that_is_no_number(make_run: MakeRun, tmp_path: Path, score: Any) -> None:
    run = make_run()
    path = runs.step_folder(run, 20) / runs.SCORES
    path.write_text(path.read_text().replace('"appeal": 0.5', f'"appeal": {json.dumps(score)}', 1))
    said = refusal([run], tmp_path)
    assert said.startswith(f"{path}: appeal of 00000.png is {score!r}, no number")


@pytest.mark.parametrize("differs", ["sha256", "name", "tie"])
def test_versions_of_a_judge_that_are_mixed(make_run: MakeRun, tmp_path: Path, differs: str) -> None:
    run, card = make_run(), {"name": "eye", "tie": 0.1, "sha256": "0f3a", "versions": "torch 2.13"}
    runs.write_judges(runs.step_folder(run, 0), {"appeal": card, "faithfulness": card})
    runs.write_judges(
        runs.step_folder(run, 20),
        {"appeal": card | {differs: 0.2 if differs == "tie" else "another"}, "faithfulness": card},
    )
    said = refusal([run], tmp_path)
    assert said.startswith(f"{run}: appeal of step-000000 and step-000020 was scored by two judges, or two versions")
    assert said.endswith("judge again with --appeal")


def test_other_libraries_under_one_judge_are_no_other_judge(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run()
    for step, version in ((0, "torch 2.13"), (20, "torch 2.14")):
        runs.write_judges(runs.step_folder(run, step), {"appeal": {"name": "eye", "tie": 0.1, "versions": version}})
    compare([run], out=tmp_path / "report.html")


def test_one_line_on_the_terminal(make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run()
    (runs.step_folder(run, 0) / runs.JUDGES).write_text("{")
    with pytest.raises(SystemExit) as stopped:
        main(["compare", str(run), "--out", str(tmp_path / "report.html")])
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "judges.json: not JSON" in line
