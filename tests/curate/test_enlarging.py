"""Small needles through models that make pictures larger: plain upscalers of diffusers, and those that emu tunes."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from PIL import Image
from safetensors.torch import load_file, save_file
from test_upsample import SIZES, rows, short_sides

from architectures import loader, make, prompt_batch, trainer, training_batch
from emu.curate.upsample import upsample
from emu.errors import UserError
from emu.sampling.enlarging import upsampler
from needles import make_folder

STEPS = {"num_inference_steps": 1, "guidance_scale": 1.0}


@pytest.fixture
def needles(tmp_path: Path) -> Path:
    return make_folder(tmp_path, SIZES)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny upscaler, by its name in `upscalers.BUILDERS`."""
    root = tmp_path_factory.mktemp("upscalers")

    def folder(name: str) -> Path:
        import upscalers

        return root / name if (root / name).exists() else upscalers.save(name, root / name)

    return folder


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # diffusers' Euler scheduler
@pytest.mark.parametrize("name", ["upscaler", "latent upscaler"])
def test_an_upscaler_reaches_the_size_whatever_else_is_in_the_folder(
    name: str, needles: Path, tmp_path: Path, pipeline: Callable[[str], Path]
) -> None:
    alone = shutil.copytree(needles, tmp_path / "alone")
    lines = (needles / "metadata.jsonl").read_text().splitlines()
    (needles / "metadata.jsonl").write_text("\n".join([lines[0], lines[1], lines[3]]))
    (alone / "metadata.jsonl").write_text(lines[3])
    by = upsampler(str(pipeline(name)), **STEPS)
    upsample(needles, 50, by)
    assert short_sides(needles) == [50, 64, 50]
    upsample(alone, 50, by)
    made, same = rows(needles)[2], rows(alone)[0]
    assert made == same
    assert (needles / made["file_name"]).read_bytes() == (alone / same["file_name"]).read_bytes()
    assert made["upsampled_from"]["upsampler_sha256"] == rows(needles)[0]["upsampled_from"]["upsampler_sha256"]
    assert made["upsampled_from"]["settings"] == STEPS


def test_a_pipeline_of_another_kind_or_setting_is_refused(
    needles: Path, tiny_folder: Callable[[str], Path], pipeline: Callable[[str], Path]
) -> None:
    with pytest.raises(UserError, match="--upsampler .*latent: a LatentDiffusion makes no picture larger; name what"):
        upsampler(str(tiny_folder("latent")))
    with pytest.raises(UserError, match="model.sampler.stpes: LatentUpscaling has no such setting"):
        upsample(needles, 100, upsampler(str(pipeline("upscaler")), stpes=3))
    with pytest.raises(UserError, match="unexpected keyword argument 'stpes'"):
        upsample(needles, 100, upsampler(str(pipeline("latent upscaler")), stpes=3))
    assert "upsampled_from" not in rows(needles)[0]


def test_a_run_of_ones_own_makes_of_a_picture_what_plain_diffusers_makes(
    tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    """DeepFloyd's stage II, tuned, and the folder that it becomes."""
    model = make("upscaling", tiny_folder("upscaling"))
    fitted = trainer(tmp_path / "run", max_steps=1, limit_val_batches=0)
    fitted.fit(model, loader(training_batch("upscaling")), loader(prompt_batch()))
    fitted.save_checkpoint(tmp_path / "run" / "best.ckpt")
    section = {"class_path": "emu.models.PixelUpscaling", "init_args": {"pretrained": str(tiny_folder("upscaling"))}}
    (tmp_path / "run" / "config.yaml").write_text(json.dumps({"model": section}))
    model.save_pipeline(tmp_path / "out")
    settings = {"num_inference_steps": 2, "noise_level": 30}
    needles = make_folder(tmp_path, [(40, 40), (9, 12)])
    plain = DiffusionPipeline.from_pretrained(tmp_path / "out")
    found = {}
    for name in ("run", "out"):
        upsample(needles, 30, upsampler(str(tmp_path / name), **settings))
        assert short_sides(needles) == [40, 30]
        row = rows(needles)[1]
        found[name] = row["upsampled_from"]["upsampler_sha256"]
        with Image.open(needles / "1.png") as start, Image.open(needles / row["file_name"]) as made:
            drawn = plain(
                row["text"], image=start.convert("RGB"), height=48, width=36, clean_caption=False, **settings,
                generator=torch.Generator().manual_seed(row["upsampled_from"]["seed"]),
            ).images[0].resize((30, 40), Image.Resampling.LANCZOS)  # fmt: skip
            assert np.abs(np.asarray(drawn).astype(int) - np.asarray(made)).max() <= 1
    assert found["run"] != found["out"]


@pytest.mark.parametrize(("component", "key"), [("vae", "decoder.conv_out.weight"), ("unet", "conv_in.weight")])
def test_an_upscaler_whose_weights_are_not_all_there_is_refused(
    component: str, key: str, tmp_path: Path, pipeline: Callable[[str], Path]
) -> None:
    """diffusers by itself draws them at random, and says so in a warning."""
    folder = Path(shutil.copytree(pipeline("latent upscaler"), tmp_path / "torn"))
    (file,) = (folder / component).glob("*.safetensors")
    weights = load_file(file)
    del weights[key]
    save_file(weights, file, {"format": "pt"})
    with pytest.raises(UserError, match=f"torn/{component}: .* 1 are missing, such as {key}"):
        upsampler(str(folder), **STEPS)(Image.new("RGB", (32, 32)), "a red boat", short=64, seed=0)
