"""`emu sample`: every picture once, of one model and one set of settings."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import pipelines
from emu.cli import main
from emu.errors import UserError
from emu.layouts import runs
from emu.models import LatentDiffusion
from emu.sampling import cascade
from emu.sampling.sample import PLANNED, Plan, Stage
from processes import ranks

FAST = {"num_inference_steps": 2}


def draw(model: str, prompts: Path, out: Path, *, sampler: Any = None, **planned: Any) -> None:
    cascade.draw([Stage(model, sampler or {})], Plan.read(prompts, **planned), out)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("pipeline") / "latent"
    pipelines.build("latent").save_pretrained(folder)
    return str(folder)


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    rows = [
        {"prompt": text or "a hill", "group": "even" if i % 2 else "odd"} for i, text in enumerate(pipelines.CAPTIONS)
    ]
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def pictures(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.png"))}


def written(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.png")}


def test_a_folder_like_a_runs_step(model: str, prompts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    draw(model, prompts, out, seed=5, sampler=FAST)
    rows = runs.read_samples(out)
    assert [row["file"] for row in rows] == sorted(pictures(out)) == [f"0000{i}.png" for i in range(4)]
    assert [row["seed"] for row in rows] == [5, 6, 7, 8]
    assert [row["group"] for row in rows] == ["odd", "even", "odd", "even"]
    assert all(row["sampler"]["num_inference_steps"] == 2 for row in rows)
    assert not (out / PLANNED).exists()


def test_a_picture_does_not_depend_on_its_batch(model: str, prompts: Path, tmp_path: Path) -> None:
    for size in (1, 3):
        draw(model, prompts, tmp_path / str(size), batch_size=size, sampler=FAST)
    for name in pictures(tmp_path / "1"):
        one, three = (np.asarray(Image.open(tmp_path / folder / name)).astype(int) for folder in ("1", "3"))
        assert np.abs(one - three).max() <= 1  # the last bit of a sum depends on how many are summed at once


def test_processes_share_the_prompts(model: str, prompts: Path, tmp_path: Path) -> None:
    draw(model, prompts, tmp_path / "alone", sampler=FAST)
    for world in (2, 3):
        out, log = tmp_path / f"{world}", tmp_path / f"{world}.log"
        argv = ["sample", model, str(prompts), str(out), "--sampler", "num_inference_steps=2"]
        assert ranks(world, main, argv, log=log) == [0] * world, Path(f"{log}.0").read_text()
        assert runs.read_samples(out) == runs.read_samples(tmp_path / "alone")
        assert sorted(pictures(out)) == sorted(pictures(tmp_path / "alone"))
        for name in pictures(out):  # drawn in other batches, so that a last bit may fall on the other side of a level
            drawn, wanted = (np.asarray(Image.open(folder / name)).astype(int) for folder in (out, tmp_path / "alone"))
            assert np.abs(drawn - wanted).max() <= 1


def test_a_second_call_draws_only_what_is_missing(
    model: str, prompts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the batches of the first one, since their size may change the last bits."""
    out, batches = tmp_path / "out", list[list[int]]()
    drawn = LatentDiffusion.sample

    def noted(self: LatentDiffusion, cond: Any, negative: Any, seeds: list[int], **more: Any) -> Any:
        batches.append(list(seeds))
        return drawn(self, cond, negative, seeds, **more)

    monkeypatch.setattr(LatentDiffusion, "sample", noted)
    draw(model, prompts, out, batch_size=2, sampler=FAST)
    first, times, all_batches = pictures(out), written(out), list(batches)
    assert len(all_batches) == 2
    batches.clear()
    (out / "00002.png").unlink()
    draw(model, prompts, out, batch_size=2, sampler=FAST)
    again = written(out)
    assert {name for name in times if again[name] != times[name]} == {"00002.png"}
    assert batches == [all_batches[1]]
    assert pictures(out) == first


def test_an_interrupted_call_is_taken_up(
    model: str, prompts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    save = runs.save_picture

    def interrupted(path: Path, pixels: np.ndarray) -> None:
        if path.name == "00002.png":
            raise KeyboardInterrupt
        save(path, pixels)

    with monkeypatch.context() as patch:
        patch.setattr(runs, "save_picture", interrupted)
        with pytest.raises(KeyboardInterrupt):
            draw(model, prompts, out, batch_size=1, sampler=FAST)
    assert not (out / runs.SAMPLES).exists()
    times = written(out)
    assert set(times) == {"00000.png", "00001.png"}
    draw(model, prompts, out, batch_size=1, sampler=FAST)
    assert len(runs.read_samples(out)) == 4
    assert written(out).items() >= times.items()


def test_other_settings_are_other_pictures(
    model: str, prompts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    draw(model, prompts, out, sampler=FAST)
    first = pictures(out)
    assert "removes" not in "".join(capsys.readouterr())
    draw(model, prompts, out, seed=100, sampler=FAST)
    assert f"{out}: removes 4 pictures of another seed" in "".join(capsys.readouterr())
    assert not set(first.values()) & set(pictures(out).values())
    draw(model, prompts, out, limit=2, seed=100, sampler=FAST)
    assert f"{out}: removes 2 pictures that are not asked for any more" in "".join(capsys.readouterr())
    assert len(pictures(out)) == len(runs.read_samples(out)) == 2


def test_files_of_others_are_left_alone(model: str, prompts: Path, tmp_path: Path) -> None:
    out = tmp_path / "holiday"
    out.mkdir()
    (out / "00000.png").write_bytes(b"mine")
    with pytest.raises(UserError, match="holiday"):
        draw(model, prompts, out, sampler=FAST)
    assert (out / "00000.png").read_bytes() == b"mine"


def test_a_decoder_that_gives_no_numbers_is_named_by_the_prompt(prompts: Path, tmp_path: Path) -> None:
    pipeline: Any = pipelines.build("latent")
    pipeline.vae.post_quant_conv.bias.data.fill_(float("nan"))  # as SDXL's does in float16
    pipeline.save_pretrained(tmp_path / "model")
    with pytest.raises(UserError, match=f"the picture of '{pipelines.CAPTIONS[0]}': the model drew numbers"):
        draw(str(tmp_path / "model"), prompts, tmp_path / "out", sampler=FAST)
    assert not pictures(tmp_path / "out")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"sampler": {"guidance": 3}}, "guidance"),
        ({"batch_size": 0}, "--batch-size"),
        ({"model": "no/such/model"}, "no such"),
    ],
)
def test_mistakes_are_named(model: str, prompts: Path, tmp_path: Path, given: dict[str, object], said: str) -> None:
    options: dict[str, object] = {"model": model, **given}
    with pytest.raises(UserError, match=said):
        draw(str(options.pop("model")), prompts, tmp_path / "out", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()
