"""Guards, headline, curves, picks and recipe of run folders, as `compare` writes them."""

import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch import Tensor

from emu.compare import Against, compare
from emu.compare.cells import picks
from emu.compare.curves import HEIGHT, WIDTH, charts
from emu.compare.pictures import LONGEST_SIDE, SMALLER, longest_side
from emu.compare.reading import read_run
from emu.compare.recipe import recipe, seeds
from emu.errors import UserError
from emu.guards import Finding
from emu.guards.finding import not_measured
from emu.judges import Card, Embedder
from emu.layouts import runs
from emu.layouts.quality_json import Check, Quality, read_quality, write_quality
from emu.statistics import WinRate
from verdicts import read_verdict

MakeRun = Callable[..., Path]
RNG = np.random.default_rng(0)


def compared(run: Path, out: Path, **options: Any) -> dict[str, Any]:
    compare([run], out=out / "report.html", **options)
    told: dict[str, Any] = read_verdict(out / "verdict.json")["runs"][0]
    return told


def guards_of(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {finding["guard"]: finding for finding in told["guards"]}


def noise(run: Path, *, copies: Path | None = None) -> None:
    """Every picture another; those after tuning are, with `copies`, those of that folder."""
    for step in (0, 20):
        for picture in runs.step_folder(run, step).glob("*.png"):
            Image.fromarray(RNG.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(picture)
            if copies and step:
                shutil.copyfile(copies / picture.name, picture)


@pytest.fixture
def curated(tmp_path: Path) -> Path:
    folder = tmp_path / "needles"
    folder.mkdir()
    rows = []
    for i in range(60):
        Image.fromarray(RNG.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(folder / runs.picture_name(i))
        rows.append(json.dumps({"file_name": runs.picture_name(i), "text": f"prompt {i}"}))
    (folder / "metadata.jsonl").write_text("\n".join(rows))
    return folder


def test_copies_of_the_curated_set_are_found_and_shown(make_run: MakeRun, curated: Path, tmp_path: Path) -> None:
    run = make_run(count=30)
    noise(run, copies=curated)
    (run / runs.CONFIG).write_text(yaml.safe_dump({"data": {"root": str(curated)}}))
    found = guards_of(compared(run, tmp_path))["memorisation"]
    assert found["state"] == "broken"
    assert found["value"] == 100
    assert all(part["file"] == part["training"] for part in found["parts"])
    page = (tmp_path / "report.html").read_text()
    assert page.count('<figure class="copy"') == page.count("as near as a copy;") == len(found["parts"]) == 6
    assert "broken is the guard of memorisation" in json.loads((tmp_path / "verdict.json").read_text())["headline"]


def test_a_curated_set_by_flag_and_one_that_is_gone(make_run: MakeRun, curated: Path, tmp_path: Path) -> None:
    run = make_run(count=30)
    noise(run)
    assert "name one with --training" in guards_of(compared(run, tmp_path))["memorisation"]["sentence"]
    found = guards_of(compared(run, tmp_path, against=Against(training=str(curated))))["memorisation"]
    assert found["state"] != "broken"
    said = (tmp_path / "report.html").read_text().count("as near as a copy;")
    assert said == sum(part["copied"] for part in found["parts"]) < 6
    (run / runs.CONFIG).write_text(yaml.safe_dump({"data": {"root": "/gone/needles"}}))
    assert "of the run, needles, are not here" in guards_of(compared(run, tmp_path))["memorisation"]["sentence"]
    with pytest.raises(UserError, match="no such folder or file"):
        compared(run, tmp_path, against=Against(training="/gone/needles"))


def test_training_pictures_that_cannot_be_read_are_counted_and_named(
    make_run: MakeRun, curated: Path, tmp_path: Path
) -> None:
    run = make_run(count=30)
    noise(run)
    for name in ("00003.png", "00007.png"):
        (curated / name).write_bytes(b"no picture")
    table = compare([run], out=tmp_path / "report.html", against=Against(training=str(curated)))
    (note,) = json.loads((tmp_path / "verdict.json").read_text())["runs"][0]["notes"]
    assert note.startswith("2 training pictures cannot be read, so that no copy of them is found: ")
    assert "00003.png" in note
    assert "00007.png" in note
    for text in (table, (tmp_path / "report.html").read_text()):
        assert "2 training pictures cannot be read" in text


def test_several_seeds_a_prompt_are_clustered_and_measure_diversity(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(count=24)
    once = compared(run, tmp_path)
    for step in (0, 20):
        folder = runs.step_folder(run, step)
        runs.write_samples(
            folder, [row | {"prompt": f"prompt {row['index'] // 4}"} for row in runs.read_samples(folder)]
        )
    noise(run)
    told = compared(run, tmp_path)
    assert (told["prompts"], told["pairs"]) == (6, 24)
    low, high = told["appeal"]["ci95"]
    assert high - low > 2 * (once["appeal"]["ci95"][1] - once["appeal"]["ci95"][0])
    assert told["appeal"]["p"] == pytest.approx(2 * 0.5**6)
    assert guards_of(told)["diversity over seeds"]["value"] == pytest.approx(1, abs=0.1)


def test_categories_and_challenges_of_partiprompts(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(count=8)
    for step in (0, 20):
        folder = runs.step_folder(run, step)
        named = [row | {"Category": "Arts" if i % 2 else "Food", "Challenge": "Basic" if i < 4 else "Arts"}
                 for i, row in enumerate(runs.read_samples(folder))]  # fmt: skip
        runs.write_samples(folder, named)
    told = compared(run, tmp_path)
    assert {name: (rates["column"], rates["prompts"]) for name, rates in told["groups"].items()} == {
        "Category: Arts": ("Category", 4), "Food": ("Category", 4), "Challenge: Arts": ("Challenge", 4),
        "Basic": ("Challenge", 4),
    }  # fmt: skip
    assert {part["category"] for part in guards_of(told)["generality"]["parts"]} == {"Arts", "Food", "Basic"}


def test_best_worst_and_random_pairs(make_run: MakeRun) -> None:
    run = make_run(count=30)
    folder = runs.step_folder(run, 20)
    scores = {file: {**given, "appeal": 0.01 * i} for i, (file, given) in enumerate(runs.read_scores(folder).items())}
    runs.write_scores(folder, scores)
    best, worst, drawn = picks(read_run(run))
    assert (best.pairs, worst.pairs) == ([29, 28, 27, 26], [0, 1, 2, 3])
    assert drawn == picks(read_run(run))[2]
    assert len(set(drawn.pairs)) == 4
    for scored in run.rglob(runs.SCORES):
        scored.unlink()
    assert [pick.title for pick in picks(read_run(run))] == ["At random"]


def check(step: int, win: float, brightness: float | None) -> Check:
    guard = not_measured("drift of brightness", "")
    if brightness is not None:
        ci95 = brightness - 0.01, brightness + 0.01
        guard = Finding(guard.guard, "", "held", brightness, ci95, 0.2, "of the whole range", "within")
    return Check(step, WinRate(win, 0.0, 100 - win, (win - 5, win + 5), 9), None, None, None, [guard])


def test_curves_lie_where_their_numbers_are_and_mark_what_was_kept() -> None:
    appeal, drift = charts(Quality(checks=[check(10, 50, 0.0), check(20, 100, 0.1), check(40, 75, None)]), chosen=20)
    assert [(x, y) for x, y, _ in appeal.dots] == [(WIDTH / 4, HEIGHT / 2), (WIDTH / 2, 0), (WIDTH, HEIGHT / 4)]
    assert [chosen for *_, chosen in appeal.dots] == [False, True, False]
    assert "step 20 100 [95, 105]" in appeal.words
    assert len(drift.dots) == 2
    thresholds = [y for y, label in drift.rules if label]
    assert thresholds[0] > drift.dots[0][1] > drift.dots[1][1] > thresholds[1]
    assert charts(Quality(), chosen=0) == []


def test_recipe_and_seeds(make_run: MakeRun, tmp_path: Path) -> None:
    config = {"model": {"class_path": "emu.models.Muse", "init_args": {"optimizer": {"init_args": {"lr": 1e-5}}}}}
    assert recipe(config) == [("model", "emu.models.Muse"), ("learning rate", "1e-05")]
    assert recipe({}) == []
    run = make_run()
    assert seeds(read_run(run)) == "4 prompts, one seed each, 0 to 3"
    (run / runs.CONFIG).write_text(yaml.safe_dump(config))
    compared(run, tmp_path)
    assert "<dt>learning rate</dt><dd>1e-05</dd>" in (tmp_path / "report.html").read_text()
    (run / runs.CONFIG).write_text("a: [")
    with pytest.raises(UserError, match=r"config\.yaml: not YAML"):
        compared(run, tmp_path)


def test_many_pictures_are_made_smaller(tmp_path: Path) -> None:
    for i in range(4):
        Image.fromarray(RNG.integers(0, 255, (400, 400, 3), dtype=np.uint8)).save(tmp_path / f"{i}.png")
    paths = sorted(tmp_path.glob("*.png"))
    assert longest_side(paths) == LONGEST_SIDE
    assert longest_side(paths, budget=100_000) in SMALLER
    assert longest_side(paths, budget=1) == SMALLER[-1]


def test_the_curve_of_a_tuned_run_is_on_the_page(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run()
    quality = replace(read_quality(run), checks=[check(10, 50, 0.0), check(20, 60, 0.1)])
    write_quality(run, quality)
    compared(run, tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert page.count('<figure class="chart"') == 2
    assert re.search(r'<circle class="chosen" cx="320.0"', page)


def test_an_embedder_by_option_tells_the_guards(make_run: MakeRun, curated: Path, tmp_path: Path) -> None:
    class Mean(Embedder):
        def describe(self) -> Card:
            return {"model": "mean colour"}

        def images(self, images: Sequence[Tensor]) -> Tensor:
            return torch.stack([image.mean(dim=(1, 2)) for image in images])

    run = make_run(count=30)
    noise(run, copies=curated)
    told = compared(run, tmp_path, against=Against(training=str(curated), embedder=Mean()))
    assert told["features"] == "embeddings of mean colour"
    assert "embeddings of mean colour" in (tmp_path / "report.html").read_text()
    parts = guards_of(told)["memorisation"]["parts"]
    assert all(part["distance"] == pytest.approx(0, abs=1e-6) for part in parts)
