"""Several models as one: what each draws is what plain diffusers draws, one after the other, and nothing is lost."""

import filecmp
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from diffusers import DiffusionPipeline
from PIL import Image

from architectures import CLASSES, loader, make, prompt_batch, trainer, training_batch
from emu.cli import main
from emu.compare.reading import read_run
from emu.errors import UserError
from emu.exporting.cascade import Shipped, _readme, ship
from emu.layouts import runs
from emu.layouts.quality_json import Quality, write_quality
from emu.pipeline_folders import folders
from emu.sampling.cascade import draw, draw_run, read_stage, require_chain, unfolded
from emu.sampling.sample import Plan, Stage

Folder = Callable[[str], Path]

BASE = {"num_inference_steps": 3, "guidance_scale": 2.0}
LARGER = {"num_inference_steps": 2, "noise_level": 100}
LARGEST = {"num_inference_steps": 2, "noise_level": 30}
PROMPTS = ["a red boat at noon", "two green hills"]


@pytest.fixture
def stages(tiny_folder: Folder) -> list[Stage]:
    """DeepFloyd IF's stages I and II, then Stable Diffusion's upscaler: 4 -> 16 -> 64 pixels."""
    settings = {"pixel": BASE, "upscaling": LARGER, "latent_upscaling": LARGEST}
    return [Stage(str(tiny_folder(name)), dict(given)) for name, given in settings.items()]


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.jsonl"
    rows = [{"prompt": prompt, "width": 4, "height": 4, "seed": 7 + i} for i, prompt in enumerate(PROMPTS)]
    rows[1]["negative_prompt"] = "a yellow moon"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(int)


def by_hand(stages: list[Stage], prompt: str, negative: str, seed: int) -> np.ndarray:
    """As a user of plain diffusers goes about it."""
    sizes: list[dict[str, Any]] = [{"height": 4, "width": 4}, {"height": 16, "width": 16}, {}]
    start: dict[str, Any] = {}
    for stage, size in zip(stages, sizes, strict=True):
        pipeline: Any = DiffusionPipeline.from_pretrained(stage.model)
        if "variance_type" in pipeline.scheduler.config:  # what emu draws IF with, tuned or not
            pipeline.scheduler = type(pipeline.scheduler).from_config(
                pipeline.scheduler.config, variance_type="fixed_small"
            )
        pipeline.set_progress_bar_config(disable=True)
        clean = {"clean_caption": False} if "IF" in type(pipeline).__name__ else {}
        drawn = pipeline(
            prompt, negative_prompt=negative, generator=torch.Generator().manual_seed(seed), **start, **size, **clean,
            **stage.sampler,
        )  # fmt: skip
        start = {"image": drawn.images[0]}
    return np.asarray(start["image"]).astype(int)


def test_it_is_plain_diffusers_one_after_the_other(stages: list[Stage], prompts: Path, tmp_path: Path) -> None:
    draw(stages, Plan.read(prompts, batch_size=1), tmp_path / "out")
    rows = runs.read_samples(tmp_path / "out")
    assert [(row["prompt"], row["seed"]) for row in rows] == [(prompt, 7 + i) for i, prompt in enumerate(PROMPTS)]
    for row, negative in zip(rows, ["", "a yellow moon"], strict=True):
        wanted = by_hand(stages, row["prompt"], negative, row["seed"])
        assert wanted.shape == (64, 64, 3)
        assert np.abs(pixels(tmp_path / "out" / row["file"]) - wanted).max() <= 1
        assert row["sampler"].items() >= {"stage-1 guidance_scale": 2.0, "stage-2 noise_level": 100}.items()
        assert row["sampler"].items() >= LARGEST.items()
        assert row["image"] == f"stage-2/{row['file']}"


@pytest.mark.slow
def test_a_picture_does_not_depend_on_its_batch(stages: list[Stage], prompts: Path, tmp_path: Path) -> None:
    for size in (1, 2):
        draw(stages, Plan.read(prompts, batch_size=size), tmp_path / str(size))
    for path in (tmp_path / "1").rglob("*.png"):
        # A last bit may fall on the other side of a level, of which the stages after it make more.
        apart = pixels(path) - pixels(tmp_path / "2" / path.relative_to(tmp_path / "1"))
        assert np.abs(apart).mean() < 0.5


def test_a_call_that_was_killed_goes_on(
    stages: list[Stage], prompts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, save = Plan.read(prompts, batch_size=1), runs.save_picture

    def killed(path: Path, picture: np.ndarray) -> None:
        if (path.parent.name, path.name) == ("stage-2", "00001.png"):
            raise KeyboardInterrupt
        save(path, picture)

    with monkeypatch.context() as patch:
        patch.setattr(runs, "save_picture", killed)
        with pytest.raises(KeyboardInterrupt):
            draw(stages, plan, tmp_path / "out")
    there = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.png")}
    assert sorted(path.parent.name for path in there) == ["stage-1", "stage-1", "stage-2"]
    draw(stages, plan, tmp_path / "out")
    assert {path: path.stat().st_mtime_ns for path in there} == there
    draw(stages, plan, tmp_path / "whole")
    for path in (tmp_path / "whole").rglob("*.*"):
        assert (tmp_path / "out" / path.relative_to(tmp_path / "whole")).read_bytes() == path.read_bytes()


@pytest.mark.slow
def test_with_other_settings_before_it_is_another_picture(stages: list[Stage], prompts: Path, tmp_path: Path) -> None:
    plan, out = Plan.read(prompts, limit=1), tmp_path / "out"
    draw(stages[:2], plan, out)
    first, low = (out / "00000.png").read_bytes(), (out / "stage-1" / "00000.png").read_bytes()
    draw([stages[0], Stage(stages[1].model, {**LARGER, "noise_level": 20})], plan, out)
    assert (out / "00000.png").read_bytes() != first
    assert (out / "stage-1" / "00000.png").read_bytes() == low
    draw([Stage(stages[0].model, {**BASE, "guidance_scale": 4.0}), stages[1]], plan, out)
    assert (out / "stage-1" / "00000.png").read_bytes() != low
    draw(stages[:2], plan, out)
    assert (out / "00000.png").read_bytes() == first


@pytest.mark.parametrize(
    ("order", "sides", "said"),
    [
        (["upscaling", "latent_upscaling"], (4, 4), "starts from a picture: give the folder"),
        (["pixel", "pixel"], (4, 4), "pixel: a PixelDiffusion draws from noise, and takes no picture of the stage"),
        (["pixel", "upscaling,noise=3"], (4, 4), "model.sampler.noise: PixelUpscaling has no such setting"),
        (["pixel", "nothing"], (4, 4), "nothing: no such folder"),
        (["muse", "latent_upscaling", "upscaling"], (8, 16), None),
        (["pixel", "latent_upscaling"], (6, 3), "latent_upscaling: LatentUpscaling starts from .* multiples of 2"),
    ],
)
def test_a_stage_that_cannot_follow_is_one_line_before_anything_is_drawn(
    order: list[str], sides: tuple[int, int], said: str | None, tmp_path: Path, tiny_folder: Folder
) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text(f"a red boat --w {sides[0]} --h {sides[1]} --s 2")
    for name in ("pixel", "muse", "upscaling", "latent_upscaling"):
        (tmp_path / name).symlink_to(tiny_folder(name))
    stages = [read_stage(f"{tmp_path}/{one}", flag="--then") for one in order]
    if said is None:
        require_chain(stages, Plan.read(prompts))
        return
    with pytest.raises(UserError, match=said):
        draw(stages, Plan.read(prompts), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_files_of_others_are_left_alone(stages: list[Stage], prompts: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "holiday.png").touch()
    with pytest.raises(UserError, match="did not draw"):
        draw(stages, Plan.read(prompts), tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["holiday.png"]
    row = {"file": "00000.png", "prompt": PROMPTS[0], "seed": 7, "index": 0, "sampler": {}}
    runs.write_samples(tmp_path / "step-000000", [row])  # as `emu fit` writes it
    with pytest.raises(UserError, match="step-000000: holds pictures that a run drew; name another folder"):
        draw(stages, Plan.read(prompts), tmp_path / "step-000000")
    assert runs.read_samples(tmp_path / "step-000000") == [row]


def test_a_run_made_larger_is_a_run_to_compare(stages: list[Stage], tmp_path: Path) -> None:
    """Both sides through the same stages: what was drawn alike before is alike after."""
    run, large = tmp_path / "run", tmp_path / "large"
    for step in (0, 10):
        folder, rows = runs.step_folder(run, step), []
        for i, prompt in enumerate(PROMPTS):
            runs.save_picture(folder / f"{i:05d}.png", np.full((4, 4, 3), 100 + i * step, np.uint8))
            rows.append({"file": f"{i:05d}.png", "prompt": prompt, "seed": i, "index": i, "sampler": dict(BASE)})
        runs.write_samples(folder, rows)
    write_quality(run, Quality(name="small", model="PixelDiffusion", best_step=10, stop_reason="patience"))
    (run / runs.CONFIG).write_text(yaml.safe_dump({"model": {"class_path": "emu.models.PixelDiffusion"}}))
    draw_run(stages[1:], run, large)
    pairing = read_run(large)
    assert (pairing.name, pairing.before_step, pairing.after_step) == ("large", 0, 10)
    assert [(pair.prompt, pair.seed) for pair in pairing.pairs] == [(prompt, i) for i, prompt in enumerate(PROMPTS)]
    assert pairing.sampler.items() >= {"stage-1 noise_level": 100, "noise_level": 30}.items()
    same, other = pairing.pairs
    assert pixels(same.before).shape == (64, 64, 3)
    assert same.before.read_bytes() == same.after.read_bytes()
    assert other.before.read_bytes() != other.after.read_bytes()
    main(["compare", str(large), "--out", str(tmp_path / "report.html")])
    assert '"before_step": 0' in (tmp_path / "verdict.json").read_text()
    with pytest.raises(UserError, match=r"run: a run, whose pictures are made larger; .*pixel starts from none"):
        draw_run(stages[:1], run, tmp_path / "again")


@pytest.mark.slow
def test_on_the_command_line(stages: list[Stage], prompts: Path, tmp_path: Path) -> None:
    assert read_stage("a/b,noise_level=3,clean_caption=false", flag="--then").sampler == {
        "noise_level": 3,
        "clean_caption": False,
    }
    then = [word for stage in stages[1:] for word in ("--then", f"{stage.model},num_inference_steps=2")]
    settings = ["--sampler", "num_inference_steps=3", "--limit", "1"]
    main(["sample", stages[0].model, str(prompts), str(tmp_path / "out"), *settings, *then])
    assert pixels(tmp_path / "out" / "00000.png").shape == (64, 64, 3)


@pytest.mark.slow
def test_an_exported_cascade_is_drawn_by_its_script_and_by_emu(
    stages: list[Stage], tiny_folder: Folder, tmp_path: Path
) -> None:
    """A tuned stage II between two that are not; the script knows nothing of emu."""
    model = make("upscaling", tiny_folder("upscaling"))
    fitted = trainer(tmp_path / "run", max_steps=1, limit_val_batches=0)
    fitted.fit(model, loader(training_batch("upscaling")), loader(prompt_batch()))
    fitted.save_checkpoint(tmp_path / "run" / "best.ckpt")
    arguments = {"pretrained": str(tiny_folder("upscaling")), "sampler": LARGER, "licence": "as you like"}
    section = {"class_path": "emu.models.PixelUpscaling", "init_args": arguments}
    (tmp_path / "run" / "config.yaml").write_text(json.dumps({"model": section, "data": {"resolution": 16}}))
    first, last = (f"{stage.model},num_inference_steps=2" for stage in (stages[0], stages[2]))
    ends = ["--before", first, "--then", last]
    main(["export", str(tmp_path / "run"), str(tmp_path / "out"), *ends])
    assert "as you like" in (tmp_path / "out" / "README.md").read_text()
    said = ["a red boat at noon", str(tmp_path / "drawn.png"), "--seed", "7"]
    subprocess.run([sys.executable, str(tmp_path / "out" / "draw.py"), *said], check=True)
    assert "emu" not in (tmp_path / "out" / "draw.py").read_text()
    (tmp_path / "prompts.txt").write_text("a red boat at noon --d 7")
    main(["sample", str(tmp_path / "out"), str(tmp_path / "prompts.txt"), str(tmp_path / "pictures")])
    assert np.abs(pixels(tmp_path / "pictures" / "00000.png") - pixels(tmp_path / "drawn.png")).max() <= 1
    with pytest.raises(UserError, match="out: a cascade, drawn as its stages.json says"):
        unfolded(Stage(str(tmp_path / "out"), {"noise_level": 3}))
    with pytest.raises(SystemExit):
        main(["export", str(tmp_path / "run"), str(tmp_path / "run"), *ends])
    assert (tmp_path / "run" / "best.ckpt").is_file()


def test_what_a_stage_is_read_from_is_not_written_over(stages: list[Stage], tmp_path: Path) -> None:
    for number, stage in enumerate(stages, start=1):
        shutil.copytree(stage.model, tmp_path / "out" / f"stage-{number}")
    (tmp_path / "out" / "stages.json").write_text("[]")
    shutil.copytree(tmp_path / "out", tmp_path / "before")
    again = [*stages[:1], Stage(str(tmp_path / "out" / "stage-2"), dict(LARGER))]
    with pytest.raises(UserError, match=r"out: holds .*stage-2, which is read for it; name another place"):
        ship(again, tmp_path / "out")
    assert not filecmp.dircmp(tmp_path / "out", tmp_path / "before").diff_files


# torch tensors given to numpy by diffusers' Euler scheduler
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.slow
@pytest.mark.parametrize("name", ["flux2_klein", "hidream", "kandinsky5", "longcat_image", "joined"])
def test_any_first_stage_is_drawn_by_the_script(name: str, tiny_folder: Folder, tmp_path: Path) -> None:
    """Those that draw sizes of their own, take no prompt first, lack a part or have one of emu's, in a new process."""
    first = Path(shutil.copytree(tiny_folder(name), tmp_path / "first"))
    sampler = {"num_inference_steps": 2, "max_sequence_length": 48}
    sampler = {key: value for key, value in sampler.items() if key in CLASSES[name].sampler_defaults}
    described = {"class_path": f"emu.models.{CLASSES[name].__name__}"}
    described |= {"init_args": {"resolution": 32, "sampler": sampler}}
    (first / folders.MODEL).write_text(json.dumps(described))
    stages = [Stage(str(first)), Stage(str(tiny_folder("latent_upscaling")), dict(LARGEST))]
    assert ship(stages, tmp_path / "out") <= 1
    said = ["a picture", str(tmp_path / "drawn.png"), "--seed", "0"]
    subprocess.run([sys.executable, str(tmp_path / "out" / "draw.py"), *said], check=True)
    assert pixels(tmp_path / "drawn.png").shape == (128, 128, 3)  # four times the first stage's


@pytest.mark.parametrize(
    ("licences", "front"),
    [
        (("MIT", "MIT"), {"license": "mit"}),
        (("MIT", "OpenRAIL++"), {"license": "other", "license_name": "MIT and OpenRAIL++"}),
        (("MIT", None), {"license": "unknown"}),
    ],
)
def test_a_cascade_is_under_the_licences_of_all_its_stages(
    licences: tuple[str | None, ...], front: dict[str, str], tmp_path: Path
) -> None:
    stage: Any = {}
    told = _readme(tmp_path / "out", [Shipped(stage, "| stage |", licence) for licence in licences])
    assert yaml.safe_load(told.split("---\n")[1]).items() >= front.items()
