"""A judge and an embedder of one's own, `warm.py` and `mean_colour.py` of `examples`, from outside of the package."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from emu.class_paths import trust
from emu.cli import main
from emu.curate import curate
from emu.curate.config import Funnel
from emu.layouts import runs
from haystack import Here, config

MakeRun = Callable[..., Path]
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def redder(make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run without scores whose pictures are red after tuning; beside it both files, weights and red pictures."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("warm", "mean_colour"):
        shutil.copy(EXAMPLES / f"{name}.py", tmp_path)
        monkeypatch.delitem(sys.modules, name, raising=False)
    save_file({"weight": torch.tensor([1.0, 0.0, -1.0])}, tmp_path / "warm.safetensors")
    run, rng = make_run(count=8), np.random.default_rng(0)
    for scores in run.rglob(runs.SCORES):
        scores.unlink()
    for i in range(8):
        after, like = (np.array([200, 60, 60]) + rng.integers(-20, 20, (8, 8, 3)) for _ in range(2))
        runs.save_picture(runs.step_folder(run, 20) / runs.picture_name(i), after.astype(np.uint8))
        runs.save_picture(tmp_path / "red" / f"{i}.png", like.astype(np.uint8))
    return run


def compared(run: Path, *flags: str) -> dict[str, Any]:
    main(["compare", str(run), "--out", "page.html", *flags])
    (verdict,) = json.loads(Path("verdict.json").read_text())["runs"]
    return dict(verdict)


def test_a_judge_of_one_s_own_is_pinned_by_its_hash(redder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        compared(redder, "--appeal", "warm.Warm:warm.safetensors,sha256=00000000")
    assert "warm.safetensors: weights have sha256" in (said := capsys.readouterr().err)
    sha256 = said.split("sha256 ")[1][:8]
    verdict = compared(redder, "--appeal", f"warm.Warm:warm.safetensors,sha256={sha256}")
    assert verdict["appeal"]["win"] == 100


def test_a_judge_of_one_s_own_is_a_stage_of_the_funnel(redder: Path, tmp_path: Path) -> None:
    trust.take(["curate", "--trust", "warm"])
    lines = [json.dumps({"file_name": f"{i}.png", "text": "a red boat"}) for i in range(8)]
    Path("red", "metadata.jsonl").write_text("\n".join(lines))
    stage = {"class_path": "emu.curate.stages.Judged", "at_least": {"warmth": 0.3},
             "init_args": {"judge": "warm.Warm:warm.safetensors", "column": "warmth"}}  # fmt: skip
    curate(Funnel(config(stage)), "red", tmp_path / "kept", engine=Here())
    assert len(list((tmp_path / "kept").glob("**/*.png"))) == 8


def test_an_embedder_of_one_s_own_says_which_side_is_near(redder: Path) -> None:
    verdict = compared(redder, "--embedder", "mean_colour.MeanColour", "--reference", "red")
    assert verdict["features"] == "embeddings of the mean colour"
    assert verdict["sets"]["before"]["fid"] > 100 * verdict["sets"]["after"]["fid"]
