"""Every architecture from the command line: plan, encode, fit with and without a cache, export, sample, compare."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from architectures import CLASSES, SANA, TEXT_LENGTH, side
from emu.checkpoints import Durable
from emu.cli import main
from emu.layouts import runs
from needles import make_folder

Folder = Callable[[str], Path]

pytestmark = pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning")  # torch tensors given to numpy

QUICK = ("upscaling", "own_sana")
EVERY = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in CLASSES]


def config(root: Path, name: str, pretrained: Path, prompts: Path) -> Path:
    """Two steps on six pictures in two shapes, one held out, two prompts at each of two checks."""
    sampler: dict[str, int] = {"num_inference_steps": 2}
    if "max_sequence_length" in CLASSES[name].sampler_defaults:
        sampler["max_sequence_length"] = 2 * TEXT_LENGTH.get(name, 48)  # its captions are in no tokenizer's vocabulary
    model = {
        "class_path": "sana.Sana" if name == "own_sana" else f"emu.models.{CLASSES[name].__name__}",
        "init_args": {
            "pretrained": str(pretrained),
            "sampler": sampler,
            "licence": "Some Non-Commercial License",
            "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 1.0e-4}},
        },
    }
    data = {"root": str(make_folder(root, [(2 * side(name), side(name)), *[(40, 40)] * 5])), "prompts": str(prompts)}
    data |= {"resolution": side(name), "bucket_step": side(name) // 2, "batch_size": 2, "held_out": 1}
    document = {
        "trainer": {"accelerator": "cpu", "enable_progress_bar": False, "log_every_n_steps": 1},
        "model": model,
        "data": {**data, "num_workers": 0, "sample_batch_size": 2},
        "quality": {"batch": 2, "max_steps": 2, "check_every": 2, "appeal": {"class_path": "lamp.Brightness"}},
    }
    path = root / "run.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def emu(*words: str | Path) -> None:
    """As a user types it."""
    main([str(word) for word in words])


def weights(run: Path) -> torch.Tensor:
    state = Durable().load_checkpoint(runs.checkpoints(run)[-1])["state_dict"]
    return torch.cat([value.flatten().float() for name, value in sorted(state.items()) if name.startswith("backbone.")])


def pictures(folder: Path) -> np.ndarray:
    return np.stack([np.asarray(Image.open(file)).astype(int) for file in sorted(folder.glob("*.png"))])


@pytest.mark.parametrize("name", EVERY)
def test_from_plan_to_export(
    name: str,
    tiny_folder: Folder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.syspath_prepend(str(SANA.parent))
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a red boat\na blue bird\n")
    if CLASSES[name].starts_from_picture:
        prompts.write_text("a red boat --w 4 --h 4\na blue bird --w 4 --h 4\n")
        emu("sample", tiny_folder("pixel"), prompts, tmp_path / "low", "--sampler", "num_inference_steps=2")
        prompts = tmp_path / "low"
    path, plain, cached = config(tmp_path, name, tiny_folder(name), prompts), tmp_path / "plain", tmp_path / "cached"

    emu("plan", "-c", path)
    said = capsys.readouterr().out
    assert "allows no commercial use" in said
    assert "memory: " in said

    emu("fit", "-c", path, "--trainer.default_root_dir", plain)
    emu("encode", "-c", path, "--data.cache", tmp_path / "cache")
    emu("fit", "-c", path, "--data.cache", tmp_path / "cache", "--trainer.default_root_dir", cached)
    assert torch.equal(weights(plain), weights(cached))

    emu("export", plain, tmp_path / "exported")
    assert "Some Non-Commercial License" in (tmp_path / "exported" / "README.md").read_text()
    of_the_run = pictures(runs.step_folder(plain, runs.complete_steps(plain)[-1]))
    assert of_the_run.shape == (2, side(name), side(name), 3)
    for number, model in enumerate((plain, runs.checkpoints(plain)[-1], tmp_path / "exported")):
        emu("sample", model, prompts, tmp_path / f"drawn {number}")
        assert np.abs(pictures(tmp_path / f"drawn {number}") - of_the_run).max() <= 1
    emu("compare", plain, "--out", tmp_path / "report.html")
    assert (tmp_path / "report.html").is_file()
