"""Runs that start from LoRA files, and pictures drawn with them: trained beside, gone on with, exported, refused."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import test_layouts as layouts
from architectures import PROMPTS, SEEDS, loader, make, prompt_batch, trainer, training_batch
from emu.checkpoints import Durable
from emu.cli import main
from emu.exporting.export import export
from emu.formats import find
from emu.formats.lora import LoRA
from emu.layouts import runs
from emu.loras.written import BASE, identity
from emu.models.loading import load_model
from emu.networks import adapters
from emu.networks.adapters import Adapter

Folder = Callable[[str], Path]

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

ADAPTER = ["--model.init_args.adapter", "{rank: 4, alpha: 8}"]
SHORT = ["--quality.max_steps", "2"]


@pytest.fixture(scope="module")
def style(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Folder) -> Path:
    """A file as another run left it."""
    model = make("latent", tiny_folder("latent"), adapter=Adapter(rank=2, alpha=6))
    torch.manual_seed(3)
    for _, layer in adapters.layers(model.ema):
        nn.init.normal_(layer.lora_B["default"].weight, std=0.2)
    out = tmp_path_factory.mktemp("styles") / "style.safetensors"
    LoRA().write(model, out, {BASE: identity(model.folder, "unet")})
    return out


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Folder) -> Path:
    return layouts.config(tmp_path_factory.mktemp("runs"), "latent", tiny_folder("latent"))


def started(style: Path) -> list[str]:
    return ["--model.init_args.loras", f"['{style}:0.5']"]


def test_an_adapter_trains_on_what_a_file_made_of_the_base(
    path: Path, style: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each format draws the run's pictures; the run goes on, but not where the file has changed since."""
    mine = tmp_path / "style.safetensors"
    shutil.copy(style, mine)
    run = layouts.fit(path, "started", *started(mine), *ADAPTER, *SHORT)
    for name, out in (("diffusers", "folder"), ("lora", "a.safetensors"), ("lora-comfyui", "b.safetensors")):
        assert export(run, tmp_path / out, find(name)) <= 1
    plain = load_model(tmp_path / "folder")
    assert plain.loras == []
    assert plain.adapter is None
    save_file({key: 2 * one for key, one in load_file(mine).items()}, mine)
    with pytest.raises(SystemExit):
        main(["fit", "-c", str(path), *started(mine), *ADAPTER, "--trainer.default_root_dir", str(run)])
    assert "style.safetensors:0.5: the run began with other contents or strengths of them" in capsys.readouterr().err


def test_a_file_may_go_once_it_is_merged(style: Path, tiny_folder: Folder, tmp_path: Path) -> None:
    own = shutil.copyfile(style, tmp_path / "own.safetensors")
    model = make("latent", tiny_folder("latent"), loras=[f"{own}:0.5"])
    own.unlink()
    checkpoint: dict[str, Any] = {}
    model.on_save_checkpoint(checkpoint)
    model.on_load_checkpoint(checkpoint)


def test_a_plan_refuses_what_the_run_would(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_file(
        {"a.lora_up.weight": torch.ones(2, 2), "a.lora_down.weight": torch.ones(2, 2)}, tmp_path / "a.safetensors"
    )
    with pytest.raises(SystemExit):
        main(["plan", "-c", str(path), *started(tmp_path / "a.safetensors")])
    assert "1 of its 1 layers are none of this unet's, the first a" in capsys.readouterr().err


def drawn(folder: Path) -> Tensor:
    return torch.from_numpy(np.asarray(Image.open(folder / "00000.png")).astype(np.float32))


def test_pictures_are_drawn_with_files(style: Path, tiny_folder: Folder, tmp_path: Path) -> None:
    """As strongly as is said, several on top of each other."""
    folder = tiny_folder("latent")
    (tmp_path / "prompts.txt").write_text(f"{PROMPTS[0]}\n")
    words = ["--seed", str(SEEDS[0]), "--sampler", "num_inference_steps=2"]

    def sample(out: str, *loras: str) -> Tensor:
        flags = [word for lora in loras for word in ("--lora", lora)]
        main(["sample", str(folder), str(tmp_path / "prompts.txt"), str(tmp_path / out), *words, *flags])
        return drawn(tmp_path / out)

    plain, once, twice = sample("plain"), sample("once", str(style)), sample("twice", f"{style}:0.5", f"{style}:0.5")
    assert (once - plain).abs().mean() > 1
    assert (once - twice).abs().max() <= 1
    assert " at 0.5" in str(runs.read_samples(tmp_path / "twice")[0]["model"])
    model = make("latent", folder, loras=[str(style)], resolution=None)
    with torch.no_grad():
        wanted = model.sample(model.encode_prompts(PROMPTS[:1]), model.negative_prompt(), SEEDS[:1])[0]
    assert (once - (wanted.permute(1, 2, 0) * 255).round()).abs().max() <= 1


def test_another_base_of_the_same_shapes_is_said(
    style: Path, tiny_folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    load_model(tiny_folder("latent"), loras=[str(style)])
    assert "made on other weights" not in caplog.text
    load_model(tiny_folder("pixel"), loras=[str(style)])
    assert f"{style}: made on other weights than those of {tiny_folder('pixel')}" in caplog.text


HALF = ["--model.init_args.weights_dtype", "bfloat16", "--trainer.precision", "bf16-mixed"]


def learned(run: Path) -> Tensor:
    state = Durable().load_checkpoint(runs.checkpoints(run)[-1])["state_dict"]
    assert {value.dtype for key, value in state.items() if ".lora_" in key} == {torch.float32}
    return torch.cat([value.flatten() for key, value in state.items() if key.startswith("ema") and ".lora_B." in key])


def test_a_base_in_bfloat16(path: Path, tmp_path: Path) -> None:
    """Its adapter is in float32, trains in whole copies as alone, goes on, and is exported onto the base as it lies."""
    alone = layouts.fit(path, "half", *HALF, *ADAPTER, *SHORT)
    begun = learned(alone)
    layouts.fit(path, "half", *HALF, *ADAPTER, "--quality.max_steps", "4")
    copies = layouts.fit(
        path,
        "half-copies",
        *HALF,
        *ADAPTER,
        *layouts.DDP,
        "--data.batch_size",
        "6",
        "--quality.max_steps",
        "4",
        world=2,
    )
    assert not torch.equal(begun, learned(alone))
    assert (learned(alone) - learned(copies)).norm() < 0.05 * learned(alone).norm()
    export(alone, tmp_path / "a.safetensors", find("lora"))
    export(alone, tmp_path / "folder")


def test_what_no_loss_reaches_is_named(tiny_folder: Folder, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What Qwen-Image's last block makes of the text goes nowhere."""
    run = trainer(tmp_path, max_steps=2, num_sanity_val_steps=0, limit_val_batches=0)
    model = make("qwen_image", tiny_folder("qwen_image"), warmup_steps=0)
    with caplog.at_level("INFO", logger="lightning.pytorch"):
        run.fit(model, loader(*[training_batch("qwen_image")] * 2), loader(prompt_batch()))
    (said,) = [record.message for record in caplog.records if "no loss reaches" in record.message]
    assert "transformer_blocks.1.attn.to_add_out" in said
    assert ".weight" not in said
    unreached = model.backbone.get_parameter("transformer_blocks.1.attn.to_add_out.weight")
    assert unreached.grad is None


@pytest.mark.slow
def test_what_no_loss_reaches_in_whole_copies(tmp_path: Path, tiny_folder: Folder) -> None:
    config = layouts.config(tmp_path, "latent", tiny_folder("qwen_image"))
    document = yaml.safe_load(config.read_text())
    document["model"]["class_path"] = "emu.models.QwenImage"
    document["model"]["init_args"]["sampler"]["max_sequence_length"] = 48
    config.write_text(yaml.safe_dump(document))
    for name, more in (("full", []), ("lora", ADAPTER)):
        layouts.fit(config, name, *layouts.DDP, *more, *SHORT, "--data.batch_size", "6", world=2)
        assert "no loss reaches transformer_blocks.1." in (tmp_path / f"{name}.log.0").read_text()
