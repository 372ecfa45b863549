"""From a single-file checkpoint and pictures with captions beside them to what ComfyUI takes: the README's commands."""

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import constants
from safetensors import safe_open

from architectures import make
from emu.cli import main
from emu.formats.header import data_licences
from emu.formats.single_file import SingleFile
from emu.layouts import runs
from emu.layouts.curated_folder import CARD
from needles import draw

Folder = Callable[[str], Path]

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture
def given(whole: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The flags of a run of two steps that begins with a file."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(tmp_path / "assets"))
    monkeypatch.chdir(tmp_path)
    SingleFile().write(make("latent", whole("sd15")), tmp_path / "base.safetensors", {})
    shutil.copytree(whole("sd15"), tmp_path / "described", ignore=shutil.ignore_patterns("*.safetensors"))
    (tmp_path / "pictures").mkdir()
    for i in range(5):
        draw(tmp_path / "pictures" / f"{i}.png", (40, 32), seed=i)
        (tmp_path / "pictures" / f"{i}.txt").write_text(f"number {i}")
    (tmp_path / "prompts.txt").write_text("a red boat\na blue bird\ntwo hills\n")
    document = {
        "trainer": {"accelerator": "cpu", "enable_progress_bar": False},
        "model": {
            "class_path": "emu.models.LatentDiffusion",
            "init_args": {"pretrained": "nowhere", "sampler": {"num_inference_steps": 2}, "warmup_steps": 0},
        },
        "data": {
            "root": "nowhere", "prompts": "prompts.txt", "resolution": 32, "batch_size": 5, "bucket_step": 8,
            "num_workers": 0,
        },
        "quality": {"batch": 5, "max_steps": 2, "check_every": 1, "appeal": {"class_path": "lamp.Brightness"}},
    }  # fmt: skip
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(document))
    flags = {"--model.pretrained": "base.safetensors", "--model.config": "described", "--data.root": "pictures"}
    return ["-c", "run.yaml", *(word for pair in flags.items() for word in pair), "--trust", "lamp"]


def header(file: str) -> dict[str, str]:
    with safe_open(file, "pt") as opened:
        return dict(opened.metadata())


def test_a_lora_for_comfyui_in_four_commands(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["plan", *given, "-c", "adapters/lora"])
    assert not (tmp_path / "assets").exists()  # a plan reads no weights
    main(["fit", *given, "-c", "adapters/lora", "--trainer.default_root_dir", "runs/mine"])
    assert runs.complete_steps(Path("runs/mine")) == [0, 1, 2]
    main(["compare", "runs/mine", "--out", "report.html"])
    main(["export", "runs/mine", "style.safetensors", "--format", "lora-comfyui"])
    with safe_open("style.safetensors", "pt") as file:
        assert all(name.startswith("diffusion_model.") for name in file.keys())  # noqa: SIM118  (no mapping)
    main(["sample", "base.safetensors", "prompts.txt", "drawn", "--config", "described", "--lora", "style.safetensors"])
    assert len(list(Path("drawn").glob("*.png"))) == 3
    capsys.readouterr()
    main(["fit", *given, "-c", "adapters/lora", "--trainer.default_root_dir", "runs/mine"])
    assert runs.complete_steps(Path("runs/mine")) == [0, 1, 2]


def test_a_whole_file_for_comfyui_says_what_it_is(given: list[str], tmp_path: Path) -> None:
    card = "---\npretty_name: mine\nlicense: [cc0-1.0, cc-by-4.0]\n---\n\n# mine\n"
    (tmp_path / "pictures" / "README.md").write_text(card)
    main(["fit", *given, "--trainer.default_root_dir", "runs/mine"])
    main(["export", "runs/mine", "mine.safetensors", "--format", "comfyui"])
    said = header("mine.safetensors")
    assert said["modelspec.architecture"] == "stable-diffusion-v1"
    assert said["modelspec.title"] == "mine"
    assert said["modelspec.prediction_type"] == "epsilon"
    assert said["emu.step"] in {"1", "2"}
    assert json.loads(said["emu.recipe"])["pictures a step"] == "5"
    assert "won (" in said["emu.appeal"]
    assert len(said["emu.base_sha256"]) == 64
    assert said["emu.data_card_sha256"] == hashlib.sha256(card.encode()).hexdigest()
    assert said["emu.data_licences"] == "cc0-1.0, cc-by-4.0"
    assert str(tmp_path) not in " ".join(said.values())
    graph = json.loads(Path("mine.json").read_text())
    row = runs.read_samples(runs.step_folder(Path("runs/mine"), int(said["emu.step"])))[0]
    assert graph["positive"]["inputs"]["text"] == row["prompt"]
    assert graph["noise"]["inputs"]["noise_seed"] == row["seed"]
    main(["sample", "mine.safetensors", "prompts.txt", "drawn", "--config", "described"])
    main(["export", "runs/mine", "half.safetensors", "--format", "single-file,dtype=bf16"])
    assert Path("half.safetensors").stat().st_size < 0.6 * Path("mine.safetensors").stat().st_size
    main(["export", "runs/mine", "folder"])
    assert "as the card of their set says: `cc0-1.0`, `cc-by-4.0`.\n" in Path("folder/README.md").read_text()


def test_a_cache_and_a_check_of_a_file(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main(["encode", *given, "--data.cache", "cache"])
    assert len(list(Path("cache").iterdir())) == 1
    main(["fit", *given, "--data.cache", "cache", "--trainer.default_root_dir", "runs/cached"])
    assert runs.complete_steps(Path("runs/cached")) == [0, 1, 2]
    check = ["check", "base.safetensors", "--config", "described"]
    with pytest.raises(SystemExit):  # it was never trained, which breaks a law of those that were
        main(check)
    main([*check, "--anew"])
    assert Path("checks/base.json").is_file()
    capsys.readouterr()
    main(check)
    assert "FAIL" not in capsys.readouterr().out


def test_a_set_of_several_folders_has_the_licences_of_all_their_cards(tmp_path: Path) -> None:
    """Of all stages of a run too; where a folder has no card that is not known, and without any nothing is."""
    cards = {"a": "cc-by-4.0", "b": "[cc-by-nc-4.0, cc-by-4.0]", "c": None, "d/deeper": "mit"}
    for name, licence in cards.items():
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "0.tar").touch()
        if licence:
            (tmp_path / name / CARD).write_text(f"---\nlicense: {licence}\n---\n\n# {name}\n")

    def of(root: str, **more: Any) -> list[str]:
        return data_licences({"data": {"root": f"{tmp_path}/{root}"}, **more})

    assert of("{a,b}") == ["cc-by-4.0", "cc-by-nc-4.0"]
    assert of("{a,b,c}") == ["cc-by-4.0", "cc-by-nc-4.0", "unknown"]
    assert of("*/*.tar") == ["cc-by-4.0", "cc-by-nc-4.0", "unknown"]
    assert of("a/0.tar") == ["cc-by-4.0"]
    assert of("c") == of("nowhere") == data_licences({}) == []
    later = [{"steps": 2}, {"steps": 2, "data.root": f"{tmp_path}/d/deeper"}]
    assert of("a", stages=later) == ["cc-by-4.0", "mit"]
