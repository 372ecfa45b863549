"""`compare` from folders to verdict.json, table and page."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emu.compare import compare
from emu.layouts import runs
from lamp import Brightness

MakeRun = Callable[..., Path]


def verdict_of(out: Path) -> list[dict[str, Any]]:
    return json.loads(out.with_name("verdict.json").read_text())["runs"]


def unjudge(run: Path) -> None:
    """Leaves the pictures and what they were drawn from."""
    for step in (0, 20):
        (runs.step_folder(run, step) / runs.SCORES).unlink()
    (run / runs.QUALITY).unlink()


def test_verdict_is_in_percent_of_prompts_with_groups_apart(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(count=8, groups=("seen", "seen", "seen", "unseen"))
    scores = runs.read_scores(runs.step_folder(run, 20))
    scores["00000.png"]["appeal"] = -0.2
    scores["00001.png"]["appeal"] = 0.1
    runs.write_scores(runs.step_folder(run, 20), scores)
    compare([run], out=tmp_path / "report.html")
    (told,) = verdict_of(tmp_path / "report.html")
    assert (told["name"], told["before_step"], told["after_step"], told["prompts"]) == ("latent", 0, 20, 8)
    appeal = told["appeal"]
    assert (appeal["judge"], appeal["win"], appeal["tie"], appeal["lose"]) == ("eye", 75, 12.5, 12.5)
    assert appeal["ci95"][0] < 75 < appeal["ci95"][1]
    assert told["faithfulness"]["tie"] == 100
    assert {name: (group["prompts"], group["appeal"]["win"]) for name, group in told["groups"].items()} == {
        "seen": (6, pytest.approx(100 * 4 / 6)),
        "unseen": (2, 100),
    }
    assert told["judges"]["appeal"]["held-out accuracy"] == 0.97


def test_identical_pictures_only_tie(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run()
    shutil.rmtree(runs.step_folder(run, 20))
    shutil.copytree(runs.step_folder(run, 0), runs.step_folder(run, 20))
    compare([run], out=tmp_path / "report.html")
    (told,) = verdict_of(tmp_path / "report.html")
    assert told["appeal"]["tie"] == told["faithfulness"]["tie"] == 100


def test_swapping_before_and_after_swaps_win_and_lose(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run()
    there = compare([run], out=tmp_path / "a.html"), verdict_of(tmp_path / "a.html")[0]["appeal"]
    steps = [runs.step_folder(run, step) for step in (0, 20)]
    steps[0].rename(run / "kept")
    steps[1].rename(steps[0])
    (run / "kept").rename(steps[1])
    compare([run], out=tmp_path / "b.html")
    back = verdict_of(tmp_path / "b.html")[0]["appeal"]
    assert (there[1]["win"], there[1]["lose"]) == (back["lose"], back["win"]) == (100, 0)


def test_a_judge_scores_what_has_no_score_and_the_scores_stay(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run()
    unjudge(run)
    table = compare([run], out=tmp_path / "report.html", appeal=Brightness())
    assert "appeal by brightness: a tie is at most 0.00196078 apart; held-out accuracy 1" in table
    assert runs.read_scores(runs.step_folder(run, 20))["00001.png"]["appeal"] == pytest.approx(30 / 255)
    assert compare([run], out=tmp_path / "report.html") == table
    (told,) = verdict_of(tmp_path / "report.html")
    assert told["appeal"]["win"] == 100
    assert "faithfulness" not in told


def test_pictures_never_judged_are_paired_and_said_to_be_so(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(groups=("seen", "unseen"))
    unjudge(run)
    lines = compare([run], out=tmp_path / "report.html").splitlines()
    assert [line.split() for line in lines[:4]] == [["prompts"], ["latent", "4"], ["seen", "2"], ["unseen", "2"]]
    assert lines[-1].startswith("latent: not judged: ")
    (told,) = verdict_of(tmp_path / "report.html")
    assert (told["prompts"], told["judges"]) == (4, {})
    assert not {"appeal", "faithfulness"} & (told.keys() | told["groups"]["seen"].keys())


def test_a_run_never_judged_beside_a_judged_one(make_run: MakeRun, tmp_path: Path) -> None:
    named = [make_run("latent"), make_run("muse")]
    unjudge(named[1])
    lines = compare(named, out=tmp_path / "report.html").splitlines()
    assert lines[3].split() == ["muse", "4", *"-" * 8]
    assert [line.split(":")[0] for line in lines[5:]] == [
        "appeal",
        "faithfulness",
        "appeal by eye",
        "faithfulness by reader",
        "muse",
    ]
    assert [told.get("appeal", {}).get("win") for told in verdict_of(tmp_path / "report.html")] == [100, None]


def test_half_of_the_scores_are_no_verdict(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run()
    scores = runs.read_scores(runs.step_folder(run, 20))
    del scores["00002.png"]["appeal"]
    runs.write_scores(runs.step_folder(run, 20), scores)
    compare([run], out=tmp_path / "report.html")
    assert verdict_of(tmp_path / "report.html")[0].keys() & {"appeal", "faithfulness"} == {"faithfulness"}


def test_a_judge_leaves_scores_that_are_there(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run()
    before = {step: runs.read_scores(runs.step_folder(run, step)) for step in (0, 20)}
    compare([run], out=tmp_path / "report.html", appeal=Brightness())
    for step, scores in before.items():
        now = runs.read_scores(runs.step_folder(run, step))
        assert {file: {name: now[file][name] for name in kept} for file, kept in scores.items()} == scores
    (told,) = verdict_of(tmp_path / "report.html")
    assert told["appeal"]["judge"] == "brightness"
    assert [one["judge"] for one in told["appeal"]["opinions"]] == ["brightness", "eye"]


def test_table_has_a_row_a_run_and_a_group(make_run: MakeRun, tmp_path: Path) -> None:
    named = [make_run(name, groups=("seen", "unseen")) for name in ("latent", "muse")]
    lines = compare(named, out=tmp_path / "report.html").splitlines()
    assert [line.split()[0] for line in lines[2:8]] == ["latent", "seen", "unseen", "muse", "seen", "unseen"]
    assert re.fullmatch(
        r"latent +4 +100\.0 +0\.0 +0\.0 +\[51\.0, 100\.0\] +0\.0 +100\.0 +0\.0 +\[0\.0, 49\.0\]", lines[2]
    )
    assert lines[-2:] == [
        "appeal by eye: a tie is at most 0.1 apart; held-out accuracy 0.97",
        "faithfulness by reader: a tie is at most 0 apart",
    ]


def test_comparing_imports_neither_torch_nor_lightning(make_run: MakeRun, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from emu.compare import compare; "
        f"compare([Path({str(make_run())!r})], out=Path({str(tmp_path / 'report.html')!r})); "
        "print([name for name in ('torch', 'lightning', 'diffusers') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)}
    )
    assert done.stdout.strip() == "[]"
