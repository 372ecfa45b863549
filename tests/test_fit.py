"""`emu fit` as a user types it, on a tiny pipeline of the real classes: the run it leaves, its answers to mistakes."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

import pipelines
from emu import flags
from emu.cli import main
from emu.layouts import runs
from emu.layouts.quality_json import read_quality
from emu.storage import locks
from emu.training import same_set
from emu.training.fit import Settings
from needles import draw, make_folder

Answer = Callable[..., str]


@pytest.fixture(autouse=True)
def _same_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four steps over five pictures, three prompts at every check."""
    root = tmp_path_factory.mktemp("run")
    for name in ("latent", "pixel"):
        pipelines.build(name).save_pretrained(root / name)
    (root / "prompts.txt").write_text("a red boat\na blue bird\ntwo hills\n")
    sampler = {"num_inference_steps": 2}
    optimizer = {"class_path": "torch.optim.AdamW", "init_args": {"lr": 1e-3}}
    model = {"pretrained": str(root / "latent"), "sampler": sampler, "optimizer": optimizer, "warmup_steps": 0}
    data = {"root": str(make_folder(root, [(40, 32)] * 5)), "prompts": str(root / "prompts.txt"), "resolution": 32}
    data |= {"batch_size": 5, "bucket_step": 8, "num_workers": 0}
    path = root / "run.yaml"
    document = {
        "trainer": {"default_root_dir": str(root / "out"), "accelerator": "cpu", "enable_progress_bar": False},
        "model": {"class_path": "emu.models.LatentDiffusion", "init_args": model},
        "data": data,
        "quality": {"batch": 10, "max_steps": 4, "check_every": 2, "appeal": {"class_path": "lamp.Brightness"}},
    }
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture(scope="module")
def run(config: Path) -> Path:
    """The folder of a run that went to its end."""
    main(["fit", "-c", str(config)])
    return config.parent / "out"


@pytest.fixture
def refused(config: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Answer:
    """The one line that `emu fit` answers a mistake with, in a folder of its own."""

    def answer(*argv: str) -> str:
        with pytest.raises(SystemExit) as stopped:
            main(["fit", "-c", str(config), "--trainer.default_root_dir", str(tmp_path / "out"), *argv])
        assert stopped.value.code == 2
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("emu: ")]
        assert len(lines) == 1
        return lines[0]

    return answer


def test_a_run_leaves_its_folder_as_the_architecture_page_says(run: Path) -> None:
    assert runs.complete_steps(run) == [0, 2, 4]
    assert {path.name for path in run.iterdir()} >= {"config.yaml", "quality.json", "checkpoints"}
    assert runs.checkpoints(run) == [runs.checkpoint(run, step) for step in (2, 4)]
    assert (run / "best.ckpt").exists() == (read_quality(run).best_step is not None)
    assert [row["prompt"] for row in runs.read_samples(run / "step-000004")] == [
        "a red boat",
        "a blue bird",
        "two hills",
    ]
    assert set(runs.read_scores(run / "step-000004")) == {"00000.png", "00001.png", "00002.png"}
    assert list((run / "tensorboard").rglob("events.*"))
    assert list((run / "csv").rglob("metrics.csv"))


def test_its_config_is_the_run_again(run: Path, config: Path) -> None:
    given = Settings(flags.check(["-c", str(config)]), command="plan").config
    saved = Settings(flags.check(["-c", str(run / "config.yaml")]), command="plan").config
    for section in flags.SECTIONS:
        assert saved[section] == given[section]


def test_a_checkpoint_is_read_without_pickled_code(run: Path) -> None:
    checkpoint = torch.load(runs.checkpoint(run, 4), weights_only=True)
    assert {key.partition(".")[0] for key in checkpoint["state_dict"]} == {"backbone", "ema"}


def test_a_run_goes_on_where_it_stopped(run: Path, config: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(run, out)
    argv = ["--trainer.default_root_dir", str(out), "--quality.max_steps", "6"]
    before = [path.stat().st_mtime_ns for path in sorted((out / "step-000000").iterdir())]
    main(["fit", "-c", str(config), *argv])
    assert runs.complete_steps(out) == [0, 2, 4, 6]
    assert [check.step for check in read_quality(out).checks] == [2, 4, 6]
    assert [path.stat().st_mtime_ns for path in sorted((out / "step-000000").iterdir())] == before


@pytest.fixture
def moved(run: Path, config: Path, tmp_path: Path) -> Path:
    """A folder with a copy of the run, its set and its config, which goes on for two steps more: `DIR/run.yaml`."""
    shutil.copytree(run, tmp_path / "out")
    shutil.copytree(config.parent / "needles", tmp_path / "needles")
    document = yaml.safe_load(config.read_text())
    document["trainer"]["default_root_dir"] = str(tmp_path / "out")
    document["data"]["root"] = str(tmp_path / "needles")
    document["quality"]["max_steps"] = 6
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(document))
    return tmp_path


def another_caption(needles: Path) -> None:
    text = (needles / "metadata.jsonl").read_text()
    (needles / "metadata.jsonl").write_text(text.replace("number 2", "number two"))


def another_order(needles: Path) -> None:
    lines = (needles / "metadata.jsonl").read_text().splitlines()
    (needles / "metadata.jsonl").write_text("\n".join(lines[::-1]) + "\n")


def one_less(needles: Path) -> None:
    lines = (needles / "metadata.jsonl").read_text().splitlines()
    (needles / "metadata.jsonl").write_text("\n".join(lines[1:]) + "\n")


def another_picture(needles: Path) -> None:
    """Of the same size in pixels, under the old name."""
    draw(needles / "3.png", (40, 32), seed=77)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (another_caption, "2.png has another caption"),
        (another_order, "its pictures stand in another order"),
        (one_less, "0.png is gone"),
        (another_picture, "3.png is another picture"),
    ],
)
def test_a_set_that_changed_is_not_gone_on_with(
    change: Callable[[Path], None], said: str, moved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(moved / "needles")
    with pytest.raises(SystemExit):
        main(["fit", "-c", str(moved / "run.yaml")])
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("emu: ")]
    assert line.startswith(f"emu: data.root {moved / 'needles'}: not what the run began with: {said}; put it back")
    assert runs.complete_steps(moved / "out") == [0, 2, 4]


def test_a_run_that_is_over_says_that_it_is_given_another_set(
    moved: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """It has nothing left to read of it; whoever gives it expects that it is learned from."""
    (moved / "same").symlink_to(moved / "needles")
    shutil.copytree(moved / "needles", moved / "copy")
    shutil.copytree(moved / "needles", moved / "other")
    shutil.copytree(moved / "needles", moved / "pixels")
    one_less(moved / "other")
    draw(moved / "pixels" / "0.png", (40, 32), seed=99)
    (moved / "other.txt").write_text("a green boat\n")
    over = ["fit", "-c", str(moved / "run.yaml"), "--quality.max_steps", "4"]
    for same in ("same", "copy"):
        caplog.clear()
        main([*over, "--data.root", str(moved / same)])
        assert "stopped already at step 4" in caplog.text
        assert f"emu compare {moved / 'out'} --out report.html" in caplog.text
    for key, given, said in (
        ("root", "other", "0.png is gone"),
        ("root", "pixels", "0.png is another picture"),
        ("prompts", "other.txt", "other prompts"),
    ):
        with pytest.raises(SystemExit):
            main([*over, f"--data.{key}", str(moved / given)])
        assert said in capsys.readouterr().err


def test_names_that_look_alike_are_told_apart() -> None:
    row: same_set.Row = {"name": "caf\u00e9.png", "captions": "", "size": [1, 1]}
    then: same_set.Document = {"pictures": [row], "prompts": ""}
    now: same_set.Document = {"pictures": [{**row, "name": "cafe\u0301.png"}], "prompts": ""}
    assert same_set.difference(then, now) == "caf\u00e9.png is spelled in another form of Unicode"
    now["pictures"][0]["name"] = "cafe.png"
    assert same_set.difference(then, now) == "caf\u00e9.png is gone; cafe.png is new"


@pytest.mark.parametrize("spelled", ["needles", "./needles/", "link", "elsewhere"])
def test_the_same_set_elsewhere_is_the_same_set(spelled: str, moved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (moved / "link").symlink_to(moved / "needles")
    if spelled == "elsewhere":
        (moved / "needles").rename(moved / "elsewhere")
    monkeypatch.chdir(moved)
    main(["fit", "-c", "run.yaml", "--data.root", spelled])
    assert runs.complete_steps(moved / "out") == [0, 2, 4, 6]


def test_a_run_of_an_older_emu_goes_on_with_the_defaults_of_new_keys(moved: Path, refused: Answer) -> None:
    path = moved / "out" / "config.yaml"
    document = yaml.safe_load(path.read_text())
    del document["data"]["max_pixels"], document["model"]["init_args"]["max_skipped"]
    path.write_text(yaml.safe_dump(document))
    out = ["--trainer.default_root_dir", str(moved / "out")]
    said = refused(*out, "--data.max_pixels", "9999")
    assert "its run began with data.max_pixels 100000000, not 9999" in said
    path.write_text(yaml.safe_dump(document | {"data": document["data"] | {"gone_by_now": 3}}))
    assert "its run began with data.gone_by_now 3, not None" in refused(*out)
    path.write_text(yaml.safe_dump(document))
    main(["fit", "-c", str(moved / "run.yaml")])
    assert runs.complete_steps(moved / "out") == [0, 2, 4, 6]


def test_a_checkpoint_of_another_run_trains_with_the_new_settings(run: Path, config: Path, refused: Answer) -> None:
    given = ["--ckpt_path", str(runs.checkpoint(run, 2))]
    assert "its run began with model.init_args.sampler.num_inference_steps 2, not 3; give that" in refused(
        *given, "--model.init_args.sampler", "{num_inference_steps: 3}"
    )
    optimizer = "--model.init_args.optimizer.init_args"
    out = run.parent / "further"
    argv = [f"{optimizer}.lr", "1e-6", f"{optimizer}.weight_decay", "0.5", "--trainer.default_root_dir", str(out)]
    main(["fit", "-c", str(config), *given, *argv])
    (group,) = torch.load(runs.checkpoint(out, 4), weights_only=True)["optimizer_states"][0]["param_groups"]
    assert (group["lr"], group["initial_lr"], group["weight_decay"]) == (1e-6, 1e-6, 0.5)
    head = (out / "config.yaml").read_text().splitlines()[:3]
    assert head[0] == f"# went on from {given[1]}"
    assert "# model.init_args.optimizer.init_args.lr: 1e-06 from there on, 0.001 before" in head
    main(["fit", "-c", str(config), *argv, "--quality.max_steps", "6"])
    assert (out / "config.yaml").read_text().splitlines()[:3] == head


def test_a_second_run_in_the_folder_is_refused(config: Path, tmp_path: Path, refused: Answer) -> None:
    with locks.alone(tmp_path / "out", "emu fit"):
        assert "another emu fit is at work there" in refused()


def test_encode_then_fit_from_the_cache(config: Path, tmp_path: Path) -> None:
    argv = [
        "-c",
        str(config),
        "--data.cache",
        str(tmp_path / "cache"),
        "--trainer.default_root_dir",
        str(tmp_path / "out"),
    ]
    main(["encode", *argv])
    assert not (tmp_path / "out").exists()
    main(["fit", *argv, "--quality.max_steps", "2"])
    assert runs.complete_steps(tmp_path / "out") == [0, 2]


def test_validate_says_the_held_out_loss(run: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["validate", "-c", str(config), "--ckpt_path", str(runs.checkpoint(run, 4)), "--data.held_out", "2"])
    assert "held_out_loss" in capsys.readouterr().out


def test_compare_and_export_take_the_run(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["compare", str(run), "--out", str(tmp_path / "report.html")])
    assert json.loads((tmp_path / "verdict.json").read_text())["runs"][0]["prompts"] == 3
    assert "out" in capsys.readouterr().out
    main(["export", str(run), str(tmp_path / "model")])
    assert (tmp_path / "model" / "model_index.json").exists()


def test_a_folder_with_a_run_is_not_run_into(run: Path, refused: Answer) -> None:
    assert "holds a run already" in refused("--trainer.default_root_dir", str(run), "--resume", "never")
    line = refused("--trainer.default_root_dir", str(run), "--data.seed", "3")
    assert f"{run}: its run began with data.seed 0, not 3" in line


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--data.root", "no/such/folder"], "no/such/folder"),
        (["--data.resolution", "sixty-four"], "--data.resolution"),
        (["--data.resolution", "33", "--data.aspect_ratios", "false"], "data.resolution"),
        (["--data.prompts", "nowhere.txt"], "nowhere.txt"),
        (["--model.init_args.pretrained", "no/such/model/here"], "no/such/model/here"),
        (["--model.init_args.sampler", "{guidance: 3}"], "guidance"),
        (["--model", "my_models.Sana"], "my_models"),
        (["--ckpt_path", "nowhere.ckpt"], "--ckpt_path nowhere.ckpt"),
        (["--quality.appeal", "no_such.Judge"], "no_such"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line(refused: Answer, argv: list[str], said: str) -> None:
    assert said in refused(*argv)


def test_another_architectures_folder_and_checkpoint(refused: Answer, config: Path, run: Path) -> None:
    pixel = str(config.parent / "pixel")
    assert "IFPipeline" in refused("--model.init_args.pretrained", pixel)
    argv = ["--model", "emu.models.PixelDiffusion", "--model.init_args.pretrained", pixel]
    assert "PixelDiffusion" in refused(*argv, "--ckpt_path", str(runs.checkpoint(run, 4)))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "needles"),
        (["not json"], "metadata.jsonl"),
        ([json.dumps({"file_name": "gone.png", "text": "a"})], "gone.png"),
        ([json.dumps({"file_name": "0.png", "text": 7})], "0.png"),
        ([json.dumps({"file_name": "../0.png", "text": "a"})], "../0.png"),
    ],
    ids=["empty", "bad line", "missing file", "caption that is not text", "outside"],
)
def test_a_set_that_cannot_be_used(refused: Answer, config: Path, tmp_path: Path, lines: list[str], said: str) -> None:
    root = shutil.copytree(yaml.safe_load(config.read_text())["data"]["root"], tmp_path / "needles")
    (root / "metadata.jsonl").write_text("\n".join(lines))
    assert said in refused("--data.root", str(root))
