"""QualityTuning in a real Trainer: before, checks, verdicts, stops, best checkpoint, resume, ranks."""

import json
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from PIL import Image

from emu.class_paths.code import own_code
from emu.errors import UserError
from emu.guards import Drift
from emu.judges.image_reward import ImageReward
from emu.layouts import runs
from emu.quality import QualityTuning
from lamp import Brightness, Lamp, LampData

# The lamp's pictures are all alike: it does not matter where in the epoch it goes on.
pytestmark = pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended")


@pytest.fixture(autouse=True)
def hear_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="lightning.pytorch")


def tune(run: Path, *, model: Lamp | None = None, data: LampData | None = None, **options: Any) -> QualityTuning:
    flags = {name: options.pop(name) for name in ("devices", "strategy", "callbacks") if name in options}
    ckpt_path = options.pop("ckpt_path", None)
    given = {"batch": 8, "check_every": 2, "max_steps": 12, "patience": 2, "guards": {"drift": 1}}
    quality = QualityTuning(**given | options)  # a lamp brightens without end, which is what a guard is for
    trainer = L.Trainer(
        default_root_dir=run,
        max_epochs=-1,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        callbacks=[quality, *flags.pop("callbacks", [])],
        use_distributed_sampler=False,
        **{"devices": 1} | flags,
    )
    trainer.fit(model or Lamp(), data or LampData(), ckpt_path=ckpt_path, weights_only=True)
    return quality


def quality_of(run: Path) -> dict[str, Any]:
    return json.loads((run / "quality.json").read_text())


def brightness(picture: Path) -> float:
    return float(np.asarray(Image.open(picture)).mean() / 255)


def test_before_is_drawn_at_step_0_and_checks_lie_at_exact_optimizer_steps(tmp_path: Path) -> None:
    # 5 batches an epoch, 2 accumulated: every third optimizer step has one batch, so batches cannot count steps.
    tune(tmp_path, data=LampData(pictures=20), check_every=5, max_steps=12)
    assert runs.complete_steps(tmp_path) == [0, 5, 10, 12]
    for step in (0, 5, 10):
        drawn = brightness(runs.step_folder(tmp_path, step) / "00003.png")
        assert drawn == pytest.approx(min(0.6, 0.2 + 0.05 * (step - step // 3 / 2) + 0.03), abs=1 / 255)


def test_samples_hold_prompt_seed_sampler_and_columns_and_no_filler(tmp_path: Path) -> None:
    tune(tmp_path, appeal=Brightness(), max_steps=2)
    folder = runs.step_folder(tmp_path, 0)
    rows = runs.read_samples(folder)
    assert [row["index"] for row in rows] == list(range(10))
    assert rows[3] == {
        "file": "00003.png", "prompt": "a lamp, number 3", "group": "seen", "seed": 103, "index": 3,
        "sampler": {"num_inference_steps": 1},
    }  # fmt: skip
    assert sorted(path.name for path in folder.glob("*.png")) == [row["file"] for row in rows]


def test_scores_are_those_of_the_files(tmp_path: Path) -> None:
    tune(tmp_path, appeal=Brightness(), max_steps=2)
    scores = runs.read_scores(runs.step_folder(tmp_path, 2))
    for file, score in scores.items():
        assert score["appeal"] == pytest.approx(brightness(runs.step_folder(tmp_path, 2) / file), abs=1e-6)


def test_stops_when_appeal_no_longer_rises_and_keeps_the_best(tmp_path: Path) -> None:
    quality = tune(tmp_path, appeal=Brightness(), max_steps=1000)
    told = quality_of(tmp_path)
    assert [check["appeal"]["win"] for check in told["checks"]] == [100, 100, 100]
    assert told["best_step"] == 2
    assert told["stop_reason"] == quality.stop_reason
    assert told["stop_reason"] == "step 6: the appeal win rate has not risen above the 100.0 % of step 2 (patience 2)"
    best = torch.load(tmp_path / "best.ckpt", weights_only=True)
    assert best["global_step"] == 2
    assert best["state_dict"]["light"] == pytest.approx(0.3)


def test_best_follows_a_rising_win_rate(tmp_path: Path) -> None:
    # One 8-bit level is 0.004 and rounds differently by picture: a slow lamp wins picture by picture.
    tune(tmp_path, appeal=Brightness(), model=Lamp(speed=0.0005), max_steps=6)
    told = quality_of(tmp_path)
    wins = [check["appeal"]["win"] for check in told["checks"]]
    assert 0 < wins[0] < wins[1] < wins[2] < 100
    assert told["best_step"] == 6
    assert torch.load(tmp_path / "best.ckpt", weights_only=True)["global_step"] == 6


def test_stops_when_faithfulness_fell_and_does_not_keep_that_check(tmp_path: Path) -> None:
    tune(tmp_path, appeal=Brightness(), faithfulness=Brightness(sign=-1), max_steps=1000)
    told = quality_of(tmp_path)
    assert told["stop_reason"].startswith(
        "step 2: faithfulness fell 100.0 points below step 0 (95 % interval -100.0 to"
    )
    assert told["stop_reason"].endswith("more than the margin of 2")
    assert told["best_step"] is None
    assert not (tmp_path / "best.ckpt").exists()


def test_a_broken_guard_stops_and_is_named_and_that_check_is_not_kept(tmp_path: Path) -> None:
    tune(tmp_path, appeal=Brightness(), guards=[Drift(0.15)], patience=9, max_steps=1000)
    told = quality_of(tmp_path)
    assert told["stop_reason"].startswith(
        "step 4: the guard of drift of brightness is broken: all pictures are brighter than before (0.2, 95 % interval"
    )
    assert told["best_step"] == 2
    guards = {finding["guard"]: finding for finding in told["checks"][0]["guards"]}
    assert guards["drift of brightness"]["value"] == pytest.approx(0.1, abs=0.004)
    assert guards["drift of brightness"]["state"] == "held"
    assert guards["diversity over seeds"]["state"] == "not measured"


def test_seeds_that_repeat_stop_the_run(tmp_path: Path) -> None:
    # Two prompts of five seeds; at its ceiling the lamp shines alike from all of them.
    tune(tmp_path, model=Lamp(ceiling=0.3), data=LampData(repeat=5), max_steps=1000)
    reason = quality_of(tmp_path)["stop_reason"]
    assert reason.startswith("step 2: the guard of diversity over seeds is broken: pictures of one prompt differ 0.")


def test_resume_with_another_judge_is_refused(tmp_path: Path) -> None:
    tune(tmp_path, appeal=Brightness(), max_steps=2)
    with pytest.raises(UserError, match=r"quality\.appeal: not the judge that scored step 0; start a new run folder"):
        tune(tmp_path, appeal=Brightness(sign=-1), max_steps=4, ckpt_path=tmp_path / "best.ckpt")


def test_a_judge_that_is_not_there_is_known_before_the_model_is_loaded(tmp_path: Path) -> None:
    class Heavy(Lamp):
        def configure_model(self) -> None:
            raise AssertionError("loaded for nothing")

    judge = ImageReward(str(tmp_path / "ImageReward.pt"))
    with pytest.raises(UserError, match=r"ImageReward\.pt: no such file; name ImageReward\.pt"):
        tune(tmp_path, model=Heavy(), appeal=judge)


def test_min_steps_puts_off_every_stop_but_max_steps(tmp_path: Path) -> None:
    tune(tmp_path, faithfulness=Brightness(sign=-1), min_steps=7, max_steps=1000)
    assert quality_of(tmp_path)["stop_reason"].startswith("step 8: faithfulness fell")


def test_max_steps_is_a_reason_and_gets_a_check_of_its_own(tmp_path: Path) -> None:
    tune(tmp_path, appeal=Brightness(), max_steps=3, patience=9)
    told = quality_of(tmp_path)
    assert [check["step"] for check in told["checks"]] == [2, 3]
    assert told["stop_reason"] == "step 3: this is the last step allowed (max_steps 3)"


def test_without_judges_it_draws_and_keeps_the_last(tmp_path: Path) -> None:
    tune(tmp_path, max_steps=4)
    assert runs.complete_steps(tmp_path) == [0, 2, 4]
    assert quality_of(tmp_path)["best_step"] == 4
    assert torch.load(tmp_path / "best.ckpt", weights_only=True)["global_step"] == 4


def test_held_out_loss_is_told_relative_to_step_0_and_never_stops(tmp_path: Path) -> None:
    tune(tmp_path, max_steps=4)
    ratios = [check["held_out_ratio"] for check in quality_of(tmp_path)["checks"]]
    assert ratios == pytest.approx([1.7 / 1.8, 1.6 / 1.8])


def test_judges_and_metrics_are_told(tmp_path: Path) -> None:
    seen: dict[str, float] = {}

    class Watch(L.Callback):
        def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            seen.update({name: float(value) for name, value in trainer.callback_metrics.items()})

    tune(tmp_path, appeal=Brightness(), faithfulness=Brightness(), max_steps=2, callbacks=[Watch()])
    assert seen["appeal_win"] == 100
    assert seen["faithfulness_net"] == 100
    assert quality_of(tmp_path)["judges"]["appeal"] == {
        "name": "brightness", "tie": 0.5 / 255, "preprocessing": "none", "held-out accuracy": 1.0,
        "code": own_code(Brightness),
    }  # fmt: skip


def test_resume_keeps_history_and_does_not_draw_step_0_again(tmp_path: Path) -> None:
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    tune(whole, appeal=Brightness(), model=Lamp(speed=0.0005), max_steps=6)
    tune(halves, appeal=Brightness(), model=Lamp(speed=0.0005), max_steps=2)
    before = (halves / "step-000000" / "samples.jsonl").stat()
    tune(halves, appeal=Brightness(), model=Lamp(speed=0.0005), max_steps=6, ckpt_path=halves / "best.ckpt")
    assert (halves / "step-000000" / "samples.jsonl").stat() == before
    assert quality_of(halves)["checks"] == quality_of(whole)["checks"]
    assert quality_of(halves)["best_step"] == quality_of(whole)["best_step"]


def test_resume_with_other_prompts_is_refused(tmp_path: Path) -> None:
    tune(tmp_path, appeal=Brightness(), max_steps=2)
    with pytest.raises(UserError, match=r"data\.prompts: not the prompts and sampler that drew step 0"):
        tune(tmp_path, data=LampData(prompts=9), max_steps=4, ckpt_path=tmp_path / "best.ckpt")


@pytest.mark.filterwarnings("ignore:Total length of `Prompts`")
def test_no_prompts_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.prompts: no prompts were drawn at step 0"):
        tune(tmp_path, data=LampData(prompts=0))


@pytest.mark.parametrize(("batch", "batch_size", "sees"), [(32, 32, 32), (64, 5, 5), (128, 32, 128)])
def test_far_from_the_recipes_batch_is_told(
    caplog: pytest.LogCaptureFixture, batch: int, batch_size: int, sees: int
) -> None:
    set_up(QualityTuning(batch=batch), batch_size=batch_size)
    assert f"warning: an optimizer step sees {sees} pictures, the recipe's 64" in caplog.text


@pytest.mark.parametrize(("batch", "batch_size"), [(64, 8), (64, 48), (96, 32)])
def test_near_the_recipes_batch_is_quiet(caplog: pytest.LogCaptureFixture, batch: int, batch_size: int) -> None:
    set_up(QualityTuning(batch=batch), batch_size=batch_size)
    assert "warning" not in caplog.text


def set_up(quality: QualityTuning, *, batch_size: int) -> None:
    trainer = L.Trainer(accelerator="cpu", devices=1, logger=False)
    trainer.datamodule = LampData(batch_size=batch_size)
    quality.setup(trainer, Lamp(), "fit")


def test_far_from_the_recipes_passes_is_told(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    tune(tmp_path, max_steps=12)
    assert "warning: 12 steps show each picture 4.0 times, the recipe 480 times at most" in caplog.text
    assert "which would be --quality.max_steps 1440" in caplog.text


def test_each_check_is_told_in_a_line(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    tune(tmp_path, appeal=Brightness(), faithfulness=Brightness(), max_steps=2)
    assert "step 2: appeal 100.0 % win [72, 100], faithfulness +100.0, held-out loss 0.94x the base" in caplog.messages
    assert "stopped at step 2: this is the last step allowed (max_steps 2)" in caplog.messages


def test_batches_accumulate_up_to_the_batch(tmp_path: Path) -> None:
    accumulated = []

    class Watch(L.Callback):
        def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            accumulated.append(trainer.accumulate_grad_batches)

    tune(tmp_path, batch=12, max_steps=2, callbacks=[Watch()])
    assert accumulated == [3]


def test_validate_alone_leaves_the_run_folder_alone(tmp_path: Path) -> None:
    trainer = L.Trainer(
        default_root_dir=tmp_path, accelerator="cpu", devices=1, logger=False, callbacks=[QualityTuning()],
        enable_progress_bar=False, enable_checkpointing=False,
    )  # fmt: skip
    trainer.validate(Lamp(), LampData(), verbose=False)
    assert list(tmp_path.iterdir()) == []


def test_two_ranks_reach_the_verdict_of_one(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    options: dict[str, Any] = {"appeal": Brightness(), "max_steps": 4, "batch": 8}
    tune(one, model=Lamp(speed=0.0005), **options)
    tune(two, model=Lamp(speed=0.0005), devices=2, strategy="ddp_fork", **options)
    assert quality_of(two)["checks"] == quality_of(one)["checks"]
    samples = [runs.read_samples(runs.step_folder(run, 4)) for run in (one, two)]
    assert samples[0] == samples[1]
