"""The tour end to end, in its quick form: what `make demo` does, in a process of its own, with less of everything."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from emu.judges.world import ATTRIBUTES
from emu.study.sets import draw_prompts, draw_set
from emu.world import UNSEEN_KINDS, named


def tour(out: Path) -> str:
    command = [sys.executable, "-m", "emu", "demo", "--out", str(out), "--quick"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    tour(folder)
    return folder


def test_it_ends_with_a_page_and_a_verdict(out: Path) -> None:
    verdict = json.loads((out / "verdict.json").read_text())
    assert [run["name"] for run in verdict["runs"]] == ["latent", "pixel", "muse"]
    for run in verdict["runs"]:
        assert run["prompts"] == 24
        assert set(run["groups"]) == {"seen", "unseen"}
        for criterion in ("appeal", "faithfulness"):
            rates = run[criterion]
            assert rates["win"] + rates["tie"] + rates["lose"] == pytest.approx(100)
            assert rates["ci95"][0] <= rates["win"] <= rates["ci95"][1]
        read = run["attributes"]["read"]
        assert [*read] == ["kind", "colour", "place", "time"]
        assert set(read["kind"]["groups"]) == {"seen", "unseen"}
        assert {kind for kind, one in read["kind"]["values"].items() if one["groups"] == ["unseen"]} <= {*UNSEEN_KINDS}
    page = (out / "report.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert len(page) < 2_500_000


def test_one_set_and_the_same_prompts_went_through_every_architecture(out: Path) -> None:
    drawn = []
    for name in ("latent", "pixel", "muse"):
        lines = (out / name / "step-000000" / "samples.jsonl").read_text().splitlines()
        drawn.append([(row["prompt"], row["seed"]) for row in map(json.loads, lines)])
    assert drawn[0] == drawn[1] == drawn[2]


def test_a_second_call_redoes_nothing_but_the_page(out: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    shown = tour(out)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.png")} == before
    assert "latent" in shown


def test_no_needle_shows_an_unseen_kind(tmp_path: Path) -> None:
    draw_set(tmp_path / "needles", {"needles": 50})
    draw_prompts(tmp_path / "prompts.jsonl", 40)
    captions = [json.loads(line)["text"] for line in (tmp_path / "needles/metadata.jsonl").read_text().splitlines()]
    assert len(captions) == 50
    assert not {named(caption).get("kind") for caption in captions} & set(UNSEEN_KINDS)
    prompts = [json.loads(line) for line in (tmp_path / "prompts.jsonl").read_text().splitlines()]
    assert sum(row["group"] == "unseen" for row in prompts) == 10
    assert [named(row["prompt"]) for row in prompts] == [{name: row[name] for name in ATTRIBUTES} for row in prompts]


def test_prompts_that_runs_have_begun_with_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    draw_prompts(path, 8)
    whole = path.read_text()
    bare = "".join(json.dumps({"prompt": json.loads(line)["prompt"]}) + "\n" for line in whole.splitlines())
    path.write_text(bare)
    draw_prompts(path, 8)
    assert path.read_text() == bare
    draw_prompts(path, 12)
    draw_prompts(path, 8)
    assert path.read_text() == whole
