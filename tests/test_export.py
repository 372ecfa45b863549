"""A run becomes a pipeline folder, and a folder, a checkpoint or a run becomes a model again."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
import yaml
from diffusers import DiffusionPipeline
from safetensors.torch import save_file

from architectures import (
    CLASSES,
    FLOW,
    OLDER,
    PROMPTS,
    SANA,
    SEEDS,
    START,
    loader,
    make,
    prompt_batch,
    side,
    trainer,
    training_batch,
)
from emu import starts
from emu.errors import UserError
from emu.exporting import readme
from emu.exporting.export import export
from emu.formats import STEP
from emu.formats.comfyui import ComfyUI
from emu.formats.folder import PipelineFolder
from emu.formats.lora import LoRA
from emu.formats.single_file import SingleFile
from emu.layouts import runs
from emu.models import load_model
from emu.module import TextToImageModule
from emu.networks.adapters import Adapter
from emu.pipeline_folders import folders

Folder = Callable[[str], Path]

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def config(name: str, folder: Path) -> dict[str, Any]:
    """As LightningCLI saves it: what is linked to the data is not saved with the model."""
    settings = {
        "pretrained": str(folder),
        "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 1.0e-3}},
        "sampler": {"num_inference_steps": 3, "true_cfg_scale" if name == "qwen_image_21" else "guidance_scale": 2.5},
    }
    path = "sana.Sana" if name == "own_sana" else f"emu.models.{CLASSES[name].__name__}"
    return {
        "model": {"class_path": path, "init_args": settings},
        "data": {"resolution": side(name)},
        "trainer": {"precision": "32-true"},
    }


def draw(model: TextToImageModule, run: Path, step: int) -> None:
    """The step's pictures of a run."""
    cond, start = model.encode(PROMPTS), {}
    if model.starts_from_picture:
        start = {starts.COLUMN: str(START)}
        cond["image"] = starts.of_rows([start] * len(PROMPTS))
    with torch.no_grad():
        pictures = model.sample(cond, model.negative_prompt(), SEEDS)
    folder, rows = runs.step_folder(run, step), []
    for i, pixels in enumerate((pictures * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()):
        row = {"file": runs.picture_name(i), "prompt": PROMPTS[i], "seed": SEEDS[i], "sampler": model.sampler}
        rows.append(row | start)
        runs.save_picture(folder / runs.picture_name(i), pixels)
    runs.write_samples(folder, rows)


def train(name: str, folder: Path, run: Path, **sampler: float) -> TextToImageModule:
    """A run of one step, with its pictures."""
    settings = config(name, folder)
    model = make(name, folder, sampler=settings["model"]["init_args"]["sampler"] | sampler)
    settings["model"]["init_args"]["sampler"] = model.sampler
    fitted = trainer(run, max_steps=1, limit_val_batches=0)
    fitted.fit(model, loader(training_batch(name)), loader(prompt_batch()))
    fitted.save_checkpoint(run / "best.ckpt")
    (run / "config.yaml").write_text(yaml.safe_dump(settings))
    draw(model.eval(), run, 1)
    return model


@pytest.fixture
def latent_run(tiny_folder: Folder, tmp_path: Path) -> Path:
    train("latent", tiny_folder("latent"), tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize("name", [*OLDER, *(pytest.param(name, marks=pytest.mark.slow) for name in FLOW)])
def test_an_export_draws_the_runs_picture(
    name: str, tiny_folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(SANA.parent))
    model = train(name, tiny_folder(name), tmp_path / "run")
    assert export(tmp_path / "run", tmp_path / "out") <= 1
    assert readme.call(model, tmp_path / "out") in (tmp_path / "out" / readme.NAME).read_text()
    again = load_model(tmp_path / "run" / "best.ckpt")
    torch.testing.assert_close(again.state_dict(), model.state_dict(), rtol=0, atol=0)
    assert again.sampler == model.sampler
    assert again.resolution == side(name)
    folder = load_model(tmp_path / "out")
    assert type(folder).__name__ == CLASSES[name].__name__
    assert (folder.sampler, folder.resolution) == (model.sampler, side(name))
    torch.testing.assert_close(folder.ema.state_dict(), model.ema.state_dict(), rtol=0, atol=0)


def test_a_run_in_mixed_precision_is_proved_in_it(tiny_folder: Folder, tmp_path: Path) -> None:
    """Of a masked model, where a last bit decides: its texts were encoded in float32, all else was computed in half."""
    model, path = train("muse", tiny_folder("muse"), tmp_path / "run"), tmp_path / "run" / "config.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "trainer": {"precision": "bf16-mixed"}}))
    with torch.autocast("cpu", torch.bfloat16):
        draw(model, tmp_path / "run", 1)
    assert export(tmp_path / "run", tmp_path / "out") <= 1


def test_a_run_with_rising_guidance_is_proved_by_what_plain_diffusers_can_draw(
    tiny_folder: Folder, tmp_path: Path
) -> None:
    model = train("muse", tiny_folder("muse"), tmp_path / "run", guidance_scale_start=1.0)
    assert export(tmp_path / "run", tmp_path / "out") <= 1
    assert load_model(tmp_path / "out").sampler == model.sampler


def test_a_picture_that_is_not_the_runs_is_an_error(latent_run: Path, tmp_path: Path) -> None:
    runs.save_picture(latent_run / "step-000001" / "00000.png", np.full((32, 32, 3), 9, np.uint8))
    with pytest.raises(UserError, match="levels from .*00000.png on average"):
        export(latent_run, tmp_path / "out")
    runs.save_picture(latent_run / "step-000001" / "00000.png", np.full((64, 64, 3), 9, np.uint8))
    with pytest.raises(UserError, match="shape"):
        export(latent_run, tmp_path / "out")


@pytest.mark.parametrize("given", ["weights_dtype: bfloat16", "encoders_dtype: bfloat16", "encoders_dtype: nf4"])
def test_a_run_that_drew_with_rounded_weights_is_held_against_the_model(
    given: str, latent_run: Path, tmp_path: Path
) -> None:
    runs.save_picture(latent_run / "step-000001" / "00000.png", np.full((32, 32, 3), 9, np.uint8))
    settings = yaml.safe_load((latent_run / "config.yaml").read_text())
    settings["model"]["init_args"] |= yaml.safe_load(given)
    (latent_run / "config.yaml").write_text(yaml.safe_dump(settings))
    assert export(latent_run, tmp_path / "out") <= 1


def test_a_step_without_pictures_is_held_against_the_model(latent_run: Path, tmp_path: Path) -> None:
    (latent_run / "step-000001" / runs.SAMPLES).unlink()
    checkpoint = runs.checkpoint(latent_run, 1)
    checkpoint.parent.mkdir()
    (latent_run / "best.ckpt").rename(checkpoint)
    sums = checkpoint.with_name("step-000001.ckpt.json")
    sums.write_text('{"sha256": "of another file"}')
    with pytest.raises(UserError, match="damaged since it was written"):
        export(latent_run, tmp_path / "out")
    sums.write_text(json.dumps({"sha256": hashlib.sha256(checkpoint.read_bytes()).hexdigest()}))
    assert export(latent_run, tmp_path / "out") <= 1


def test_a_folder_of_other_things_is_not_written_over(latent_run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert export(latent_run, tmp_path / "empty") <= 1
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").write_text("dear")
    with pytest.raises(UserError, match="something other than a pipeline"):
        export(latent_run, tmp_path / "out")


def test_an_export_that_was_killed_is_written_over(latent_run: Path, tmp_path: Path) -> None:
    """Whenever its folder is there, what says that an export wrote it is in it."""
    with (
        mock.patch("emu.exporting.export.describe", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        export(latent_run, tmp_path / "out")
    assert not (tmp_path / "out").exists() or (tmp_path / "out" / folders.MODEL).exists()
    assert export(latent_run, tmp_path / "out") <= 1


def test_what_a_run_was_made_of_is_not_written_over(tiny_folder: Folder, tmp_path: Path) -> None:
    """Nor what holds it, though it is an export itself."""
    base = tmp_path / "holds" / "base"
    shutil.copytree(tiny_folder("latent"), base)
    (base / folders.MODEL).write_text("{}")
    (base.parent / folders.MODEL).write_text("{}")
    before = files(base)
    train("latent", base, tmp_path / "run")
    (tmp_path / "link").symlink_to(base)
    for out in (base, base.parent, tmp_path / "link", tmp_path):
        with pytest.raises(UserError, match=f"{out}: holds .*, which is read for it; name another place"):
            export(tmp_path / "run", out)
    assert files(base) == before


def test_what_no_export_wrote_is_not_written_over(tiny_folder: Folder, tmp_path: Path) -> None:
    shutil.copytree(tiny_folder("latent"), tmp_path / "somebodys")
    with pytest.raises(UserError, match="something other than a pipeline folder of an export"):
        PipelineFolder().check(make("latent", tiny_folder("latent")), tmp_path / "somebodys")
    model, out = make("latent", tiny_folder("latent"), adapter=Adapter(rank=2)), tmp_path / "style.safetensors"
    for kind in (SingleFile(), LoRA(), ComfyUI()):
        save_file({"weight": torch.ones(1)}, out)
        with pytest.raises(UserError, match="there already, and no export wrote it; name another file"):
            kind.check(model, out)
        out.write_text("a letter")
        with pytest.raises(UserError, match="there already, and no export wrote it; name another file"):
            kind.check(model, out)
        kind.write(model, out, {STEP: "1"})
        kind.check(model, out)
    out.with_suffix(".json").write_text('{"description": "my notes of a model"}')
    with pytest.raises(UserError, match=r"style\.json: there already, and no export wrote it"):
        ComfyUI().check(model, out)


class Harmful:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("content", ["empty", "text", "harmful", "foreign"])
def test_what_is_no_checkpoint_of_ours_is_refused(latent_run: Path, tmp_path: Path, content: str) -> None:
    path = latent_run / "other.ckpt"
    match content:
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_text("not a checkpoint")
        case "harmful":
            torch.save({"state_dict": Harmful(tmp_path / "harm"), "global_step": 1}, path)
        case _:
            torch.save({"weights": torch.zeros(1)}, path)
    with pytest.raises(UserError, match="other.ckpt: "):
        load_model(path)
    assert not (tmp_path / "harm").exists()


def test_a_checkpoint_of_another_architecture_is_refused(latent_run: Path, tiny_folder: Folder) -> None:
    (latent_run / "config.yaml").write_text(yaml.safe_dump(config("muse", tiny_folder("muse"))))
    with pytest.raises(UserError, match="does not fit Muse"):
        load_model(latent_run)


def test_a_config_that_does_not_fit_is_named(latent_run: Path, tiny_folder: Folder) -> None:
    settings = config("muse", tiny_folder("muse"))
    settings["model"]["init_args"]["noise_offset"] = 0.1
    (latent_run / "config.yaml").write_text(yaml.safe_dump(settings))
    with pytest.raises(UserError, match="noise_offset"):
        load_model(latent_run)
    (latent_run / "config.yaml").unlink()
    with pytest.raises(UserError, match=r"config.yaml: no such file"):
        load_model(latent_run / "best.ckpt")


def test_a_run_without_a_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("{}")
    with pytest.raises(UserError, match="neither best.ckpt nor a checkpoint in checkpoints"):
        load_model(tmp_path)


def test_an_architecture_that_nobody_knows_is_named(tmp_path: Path) -> None:
    (tmp_path / folders.INDEX).write_text(json.dumps({"_class_name": "NobodysPipeline"}))
    with pytest.raises(UserError, match="holds a NobodysPipeline; emu.models knows .*, StableDiffusionPipeline"):
        load_model(tmp_path)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", list(CLASSES))
def test_what_was_not_trained_is_the_bases_file_by_file(name: str, tiny_folder: Folder, tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(tiny_folder(name), base)
    (base / "LICENSE.md").write_text("as you like")
    (base / "README.md").write_text("of the untrained model")
    make(name, base).save_pipeline(tmp_path / "out")
    before, after = files(base), files(tmp_path / "out")
    slot = CLASSES[name].slot
    weights = f"{slot}/diffusion_pytorch_model.safetensors"
    assert before.keys() - after.keys() == {"README.md"}
    assert after.keys() <= before.keys()
    changed = {file for file in after if after[file] != before[file]}
    assert changed <= ({weights, "scheduler/scheduler_config.json"} if name in ("pixel", "upscaling") else {weights})


def test_parts_that_nothing_uses_are_copied_and_never_loaded(tiny_folder: Folder, tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(tiny_folder("latent"), base)
    index = json.loads((base / "model_index.json").read_text())
    index |= {
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "feature_extractor": ["transformers", "CLIPFeatureExtractor"],  # a class that transformers no longer has
        "image_encoder": ["transformers", "CLIPVisionModelWithProjection"],  # and files that are not there
    }
    (base / "model_index.json").write_text(json.dumps(index))
    for part, file in (("safety_checker", "model.safetensors"), ("feature_extractor", "preprocessor_config.json")):
        (base / part).mkdir()
        (base / part / file).write_bytes(b"of no use here")
    before = CLASSES["latent"](str(tiny_folder("latent"))).fingerprint()
    model = make("latent", base)
    assert model.fingerprint() == before
    model.save_pipeline(tmp_path / "out")
    saved = json.loads((tmp_path / "out" / "model_index.json").read_text())
    assert saved == index | {"image_encoder": [None, None]}
    assert (tmp_path / "out" / "safety_checker" / "model.safetensors").read_bytes() == b"of no use here"


@pytest.mark.parametrize("shards", [False, True])
def test_weights_that_are_a_variant_alone_get_the_plain_name(tiny_folder: Folder, tmp_path: Path, shards: bool) -> None:
    base = tmp_path / "base"
    size: dict[str, Any] = {"max_shard_size": "40KB"} if shards else {}
    pipeline = DiffusionPipeline.from_pretrained(tiny_folder("latent"), dtype=torch.float16)
    pipeline.save_pretrained(base, variant="fp16", **size)
    model = make("latent", base)
    assert {p.dtype for part in model.frozen_parts() for p in part.parameters()} == {torch.float32}
    model.save_pipeline(tmp_path / "out")
    assert not [path for path in (tmp_path / "out").rglob("*") if "fp16" in path.name]
    again = DiffusionPipeline.from_pretrained(tmp_path / "out", dtype=torch.float32)
    for name, part in again.components.items():
        if isinstance(part, torch.nn.Module):
            wanted = getattr(model.pipeline, name).state_dict()
            torch.testing.assert_close(part.state_dict(), wanted, rtol=0, atol=0)
