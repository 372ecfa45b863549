"""`emu fit` from shards in stages: the settings of each, killed and gone on with bit for bit, on one device and two."""

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
import yaml

from emu import flags
from emu.cli import main
from emu.errors import UserError
from emu.layouts import runs
from emu.planning.plan import plan
from emu.training.stages import stage_at, stages_of
from processes import ranks
from tarred import tars
from test_layouts import CLASSES, DDP, FLOAT32

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # diffusers' Euler scheduler
]

Folder = Callable[[str], Path]
LR = "model.init_args.optimizer.init_args.lr"


@pytest.fixture(autouse=True)
def _same_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))


class Diary(L.Callback):
    """Notes each batch in `diary-RANK.jsonl` of the run folder; kills its process behind a batch of step `dies`."""

    def __init__(self, dies: int = -1) -> None:
        self.dies = dies

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, index: int) -> None:
        row = {
            "step": trainer.global_step,
            "lr": trainer.optimizers[0].param_groups[0]["lr"],
            "noise_offset": getattr(pl_module, "noise_offset", None),
            "side": max(batch["image"].shape[-2:]),
            "names": batch["name"],
        }
        with open(Path(trainer.default_root_dir) / f"diary-{trainer.global_rank}.jsonl", "a") as file:
            file.write(json.dumps(row) + "\n")
        if trainer.global_step == self.dies:
            os.kill(os.getpid(), signal.SIGKILL)


def written(root: Path, name: str, pretrained: Path) -> Path:
    """Two stages of three steps of four pictures, out of four shards of six each."""
    (root / "prompts.txt").write_text("a red boat\n")
    offsets = (
        ({}, {}) if name == "muse" else ({"model.init_args.noise_offset": 0}, {"model.init_args.noise_offset": 0.02})
    )
    side = 16 if name == "pixel" else 32
    document = {
        "trainer": {"accelerator": "cpu", "enable_progress_bar": False, "log_every_n_steps": 1, "logger": False},
        "model": {
            "class_path": f"emu.models.{CLASSES[name]}",
            "init_args": {
                "pretrained": str(pretrained),
                "sampler": {"num_inference_steps": 2},
                "optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1, "momentum": 0.9}},
                "warmup_steps": 0,
            },
        },
        "data": {
            "root": tars(root / "shards", 6, 6, 6, 6),
            "prompts": str(root / "prompts.txt"),
            "stream": True,
            "lanes": 4,
            "shuffle": 4,
            "num_workers": 0,
            "aspect_ratios": False,
            "bucket_step": 8,
        },
        "quality": {"batch": 4, "check_every": 3, "min_steps": 99, "guards": {"drift": 1, "diversity": 0}},
        "checkpoint": {"every": 1, "blocking": True},
        "stages": [
            {"steps": 3, "data.resolution": side, "data.batch_size": 2, LR: 0.05, **offsets[0]},
            {"steps": 3, "data.resolution": 2 * side, "data.batch_size": 1, LR: 0.01, **offsets[1]},
        ],
    }
    path = root / "run.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def argv(path: Path, name: str, *args: str, dies: int = -1) -> list[str]:
    diary = json.dumps([{"class_path": "test_pretraining.Diary", "init_args": {"dies": dies}}])
    out = str(path.parent / name)
    return ["fit", "-c", str(path), *args, "--trainer.default_root_dir", out, f"--trainer.callbacks={diary}"]


def diary(run: Path, rank: int = 0) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / f"diary-{rank}.jsonl").read_text().splitlines()]


def end(run: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(runs.checkpoint(run, 6), weights_only=True)["state_dict"]
    return state


def assert_same(one: Path, other: Path) -> None:
    torch.testing.assert_close(end(one), end(other), rtol=0, atol=0)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Folder) -> Path:
    return written(tmp_path_factory.mktemp("stages"), "pixel", tiny_folder("pixel"))


@pytest.fixture(scope="module")
def unbroken(path: Path) -> Path:
    main(argv(path, "unbroken"))
    return path.parent / "unbroken"


def test_each_stage_has_its_settings_from_its_first_step_on(unbroken: Path) -> None:
    rows = diary(unbroken)
    assert [row["step"] for row in rows] == [0, 1, 1, 2, 2, 3] + [3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 6]
    assert [len(row["names"]) for row in rows] == [2] * 6 + [1] * 12
    assert [row["side"] for row in rows] == [16] * 6 + [32] * 12
    assert [row["lr"] for row in rows] == [0.05] * 6 + [0.01] * 12
    assert [row["noise_offset"] for row in rows] == [0] * 6 + [0.02] * 12


def test_a_stage_shows_no_picture_twice(unbroken: Path) -> None:
    for stage in (slice(0, 6), slice(6, 18)):
        seen = Counter(name for row in diary(unbroken)[stage] for name in row["names"])
        assert len(seen) == 12
        assert set(seen.values()) == {1}


def test_killed_in_either_stage_it_ends_as_an_unbroken_run(path: Path, unbroken: Path) -> None:
    run, log = path.parent / "killed", path.parent / "killed.log"
    for dies in (2, 5):
        assert ranks(1, main, argv(path, "killed", dies=dies), log=log) == [-signal.SIGKILL], Path(
            f"{log}.0"
        ).read_text()
    main(argv(path, "killed"))
    assert_same(run, unbroken)


def test_a_finished_run_says_so(path: Path, unbroken: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = len(diary(unbroken))
    main(argv(path, "unbroken"))
    assert len(diary(unbroken)) == before
    assert "stopped already" in caplog.text
    assert "was trained on" not in caplog.text
    other = tars(path.parent / "others", 6, 6)
    main(argv(path, "unbroken", "--data.root", other))
    assert len(diary(unbroken)) == before
    assert f"; nothing of data.root {other} was trained on" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("name", ["latent", "latent_xl", "muse", "flow"])
def test_every_architecture_learns_from_a_stream(name: str, tmp_path: Path, tiny_folder: Folder) -> None:
    path = written(tmp_path, name, tiny_folder(name))
    main(argv(path, "unbroken"))
    log = tmp_path / "killed.log"
    assert ranks(1, main, argv(path, "killed", dies=4), log=log) == [-signal.SIGKILL], Path(f"{log}.0").read_text()
    main(argv(path, "killed"))
    assert_same(tmp_path / "killed", tmp_path / "unbroken")


@pytest.mark.slow
@pytest.mark.parametrize("layout", [DDP, FLOAT32], ids=["copies", "shards"])
def test_two_devices_share_a_stream(path: Path, unbroken: Path, layout: list[str]) -> None:
    """They see the same steps as one, each picture once; killed, they go on bit for bit."""
    name, log = f"two-{layout[1][-4:]}", path.parent / "two.log"
    given = [*layout, "--trainer.devices", "2", "--data.num_workers", "2"]
    assert ranks(2, main, argv(path, name, *given), log=log) == [0, 0], Path(f"{log}.0").read_text()[-3000:]
    killed = argv(path, f"{name}-killed", *given, dies=5)
    assert 0 not in ranks(2, main, killed, log=log, timeout=90)
    assert ranks(2, main, argv(path, f"{name}-killed", *given), log=log) == [0, 0], Path(f"{log}.0").read_text()[-3000:]
    first, again = (path.parent / each for each in (name, f"{name}-killed"))
    if layout is DDP:
        assert_same(first, again)
    seen = [steps_of(diary(first, rank)) for rank in (0, 1)]
    alone = steps_of(diary(unbroken))
    assert [sorted(one + other) for one, other in zip(*seen, strict=True)] == [sorted(step) for step in alone]


def steps_of(rows: list[dict[str, Any]]) -> list[list[str]]:
    """The pictures of each step; a row says how many were whole behind it."""
    steps: list[list[str]] = [[]]
    for before, row in zip([{"step": 0}, *rows], rows, strict=False):
        steps[-1] += row["names"]
        if row["step"] > before["step"]:
            steps.append([])
    return steps[:-1]


def test_a_stream_is_not_encoded(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["encode", "-c", str(path), "--data.cache", str(tmp_path)])
    assert "a stream, whose encoders run in the loop" in capsys.readouterr().err


def test_a_plan_says_the_stages(path: Path) -> None:
    said = plan(flags.check(["-c", str(path)]))
    assert "a stream of 4 shards" in said
    assert "stage 2 of 2, up to step 6" in said


def test_a_stage_that_restarts_lower_is_refused(path: Path, unbroken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="stage 2 restarts at data.resolution 256, lower than the 512 before it"):
        stages_of([{"steps": 1, "data.resolution": 512}, {"steps": 1, "data.resolution": 256}])
    document = yaml.safe_load(path.read_text())
    document["stages"] = [{**document["stages"][0], "steps": 9}]
    other = path.parent / "longer.yaml"
    other.write_text(yaml.safe_dump(document))
    with pytest.raises(SystemExit):
        main(argv(other, "unbroken"))
    assert "stage 1 restarts at data.resolution 16, lower than the 32 before it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("stages", "args", "said"),
    [
        ([{"steps": 0}], [], "stage 1 lasts 0 steps"),
        ([{"data.resolution": 64}], [], "stage 1 lasts None steps"),
        ([{"steps": 1, "data.resolutoin": 64}], [], "unknown key data.resolutoin; did you mean data.resolution"),
        ([{"steps": 1, "quality.max_steps": 64}], [], "a stage says quality.max_steps as steps"),
        ([{"steps": 1, "data.resolution": 64}], ["--data.resolution", "32"], "--data.resolution: the stages of"),
        ([{"steps": 1}], ["--quality.max_steps", "32"], "--quality.max_steps: the stages of"),
        ([{"steps": True}], [], "stage 1 lasts True steps"),
        ([{"steps": 1, "data.resolution": "high"}], [], "stage 1 has data.resolution high; give a side in pixels"),
        ([{"steps": 1, "data.resolution": 1024}, {"steps": 1}], [], "stage 2 restarts at data.resolution 512"),
        ([{"steps": 1}, {"steps": 1, "data.resolution": 256}], [], "stage 2 restarts at data.resolution 256, lower"),
        (
            [{"steps": 1}, {"steps": 1, "data.resolution": 1020, "data.aspect_ratios": True}],
            [],
            "stages: stage 2: data.resolution 1020: not a multiple of data.bucket_step 8",
        ),
        ([{"steps": 1}, {"steps": 1, "data.batch_size": "many"}], [], "--data.batch_size many: give a whole number"),
        ([{"steps": 1}, {"steps": 1, "data.root": "nowhere/*.tar"}], [], "stage 2: data.root nowhere/*.tar: no shard"),
        ([{"steps": 1, "data.seed": 4}], [], "data.seed is one for the whole run"),
        ([{"steps": 1, "model.pretrained": "other"}], [], "model.pretrained is one for the whole run"),
        ([{"steps": 1, "model.noise_offset": 0.1}], [], "stage 1: model.noise_offset is not how the config spells it"),
        ([{"steps": 1, "model.init_args.optimizer.init_args": {"lr": 1}}], [], "init_args is a mapping; set what"),
        ([{"steps": 1, LR: 1}], ["--model.optimizer.init_args.lr", "2"], f"--{LR}: the stages of"),
        (
            [{"steps": 1, "data.root": "there"}],
            ["--data.held_out", "1"],
            "stage 1: data.root: another one holds out others (data.held_out)",
        ),
        ([], ["--stages", '[{"steps": 1, "data.resolutoin": 64}]'], "--stages: stages: unknown key data.resolutoin"),
        ({"steps": 1}, [], "unknown key stages.steps"),
        ([1], [], "stages is a list of mappings"),
    ],
)
def test_stages_that_are_none_are_said_in_one_line(
    path: Path, stages: Any, args: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    document = {**yaml.safe_load(path.read_text()), "stages": stages}
    other = path.parent / "other.yaml"
    other.write_text(yaml.safe_dump(document))
    with pytest.raises(SystemExit):
        main(argv(other, "refused", *args))
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("emu: ")]
    assert said in line


def test_what_no_batch_can_be_made_of_ends_the_run_before_anything_is_drawn(
    path: Path, tmp_path: Path, tiny_folder: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lanes that cannot be dealt, and shapes that the model does not take, of a later stage too."""
    latent = ["--model.pretrained", str(tiny_folder("latent")), "--model.class_path", "emu.models.LatentDiffusion"]
    odd = [*latent, "--data.aspect_ratios", "true", "--data.bucket_step", "2", "--quality.max_steps", "1"]
    for name, args, said in (
        ("lanes", ["--data.lanes", "3", "--data.num_workers", "2"], "data.lanes 3: not a multiple of 1 devices times"),
        ("shapes", ["--stages=[]", *odd, "--data.resolution", "32"], "multiples of 4 pixels"),
        ("later", [*latent, '--stages=[{"steps": 1}, {"steps": 1, "data.resolution": 514}]'], "4 pixels, not 514x514"),
    ):
        document = {key: value for key, value in yaml.safe_load(path.read_text()).items() if key != "stages"}
        other = tmp_path / f"{name}.yaml"
        other.write_text(yaml.safe_dump(document))
        with pytest.raises(SystemExit):
            main(argv(other, name, *args))
        assert said in capsys.readouterr().err
        assert not runs.checkpoints(tmp_path / name)
        assert not list((tmp_path / name).glob("step-*/*.png"))


def test_null_and_lists_are_settings_too() -> None:
    (stage,) = stages_of([{"steps": 1, "a.b": None, "c.d": [0.9, 0.95], "e.f": "text", "g.h": True}])
    assert stage.flags == ["--a.b=null", "--c.d=[0.9, 0.95]", "--e.f=text", "--g.h=true", "--quality.max_steps=1"]


def test_from_a_stream_to_a_set_and_back_a_run_begins_with_the_first_picture(path: Path, unbroken: Path) -> None:
    """As quality-tuning goes on by --ckpt_path from what was pre-trained."""
    as_set = ["--stages=[]", "--data.stream", "false", "--data.lanes", "16", "--data.shuffle", "1024"]
    plain = yaml.safe_load(path.read_text())
    del plain["stages"]
    other = path.parent / "plain.yaml"
    other.write_text(yaml.safe_dump(plain))
    sized = ["--data.resolution", "32", "--data.batch_size", "4"]
    for name, args, before, steps in (("a-set", as_set, unbroken, 12), ("a-stream", ["--data.lanes", "4"], None, 15)):
        source = runs.checkpoint(before or path.parent / "a-set", steps - 6 if before else 12)
        main(argv(other, name, *args, *sized, "--ckpt_path", str(source), "--quality.max_steps", str(steps)))
        rows = diary(path.parent / name)
        assert rows[-1]["step"] == steps
        seen = [picture for row in rows for picture in row["names"]]
        assert len(set(seen)) == min(24, len(seen))


def test_a_run_is_in_the_stage_of_its_next_step() -> None:
    stages = stages_of([{"steps": 3}, {"steps": 2}])
    assert [stage_at(step, stages).number for step in range(7)] == [1, 1, 1, 2, 2, 2, 2]
