"""The lines of Python in the README.md of an export draw, in a process of their own, what the run's model draws."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import tokens
from architectures import FLOW, OF_EMU, OF_PICTURES, OLDER, SANA, START, make, prompts, side
from emu.drawn import to_pixels
from emu.exporting import readme
from emu.formats.lora import LoRA
from emu.networks.adapters import Adapter
from pipelines import flow

Folder = Callable[[str], Path]

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

# One process for all of them, for importing diffusers takes the longest; those that import emu come last.
DRAW = """
import os, pathlib, sys, traceback, torch
torch.set_num_threads(1)
for folder in sys.argv[1:]:
    os.chdir(folder)
    try:
        exec(pathlib.Path("lines.py").read_text(), {})
    except Exception:
        pathlib.Path("failed.txt").write_text(traceback.format_exc())
    if "emu" in sys.modules:
        pathlib.Path("imported.txt").touch()
"""
NEED_EMU = ("muse_upscaling", *OF_EMU)
STAND_IN = (  # what needs torchvision, with what texts need of it
    f"import sys; sys.path.insert(0, {str(Path(tokens.__file__).parent)!r})\nimport tokens\n",
    ", processor=tokens.qwen_processor())",
)
IN_PROCESSORS = ("qwen_image_21",)


@pytest.mark.parametrize(
    "names",
    [
        pytest.param([*OLDER, *OF_PICTURES, *OF_EMU], id="older"),
        pytest.param([*FLOW, "sd3 without T5"], id="flow", marks=pytest.mark.slow),
    ],
)
def test_the_lines_of_a_readme_draw_the_runs_pictures(
    names: list[str], tiny_folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(SANA.parent))
    last = [*IN_PROCESSORS, *NEED_EMU]
    names = [*(one for one in names if one not in last), *(one for one in names if one in last)]
    for name in names:
        exported(name, tiny_folder, tmp_path / name)
    done = subprocess.run([sys.executable, "-c", DRAW, *(str(tmp_path / name) for name in names)], check=False)
    assert done.returncode == 0
    for name in names:
        failed = tmp_path / name / "failed.txt"
        assert not failed.exists(), (name, failed.read_text())
        found, wanted = (pixels(tmp_path / name / file) for file in ("picture.png", "wanted.png"))
        assert found.shape == wanted.shape, name
        assert np.abs(found - wanted).max() <= 1 + (name in IN_PROCESSORS), name  # whose transparency is rounded too
        assert np.ptp(wanted) > 0, name
        assert (tmp_path / name / "imported.txt").exists() == (name in last), name


def exported(name: str, tiny_folder: Folder, folder: Path) -> None:
    """A tuned model's folder `out`, the Python of its README.md in lines.py, and what the model draws by those."""
    kind = "flow" if name == "sd3 without T5" else name
    base = folder / "base"
    if kind == name:
        halved(tiny_folder(name), base)
    else:
        flow(with_t5=False).save_pretrained(base)
    model = make(kind, base).eval()
    with torch.no_grad():
        for weight in model.ema.parameters():
            weight *= 1.05
        model.save_pipeline(folder / "out")
        picture = model.sample(prompts(model, [readme.PROMPT]), model.negative_prompt(), [readme.SEED])
    assert picture.shape[-1] == side(kind) or model.starts_from_picture
    Image.fromarray(to_pixels(picture, [readme.PROMPT])[0].permute(1, 2, 0).numpy()).save(folder / "wanted.png")
    shutil.copy(START, folder / "small.png")
    told = readme.text(model, folder / "out", step=1, of_pictures=[])
    (code,) = re.findall(r"```python\n(.*?)```", told, re.DOTALL)
    if name in IN_PROCESSORS:
        assert "# Its processor needs torchvision." in code
        code = STAND_IN[0] + code.replace("dtype=torch.float32)", f"dtype=torch.float32{STAND_IN[1]}")
    (folder / "lines.py").write_text(code)


def pixels(path: Path) -> np.ndarray:
    """int (h,w,3); what is transparent lies on white, as the pictures of a run do."""
    with Image.open(path) as picture:
        white = Image.new("RGBA", picture.size, "white")
        white.alpha_composite(picture.convert("RGBA"))
    return np.asarray(white.convert("RGB")).astype(int)


def halved(folder: Path, copy: Path) -> Path:
    """The pipeline with its text encoders saved in half precision, as many are published."""
    shutil.copytree(folder, copy)
    for file in copy.glob("text_encoder*/*.safetensors"):
        save_file({key: each.half() for key, each in load_file(file).items()}, file, {"format": "pt"})
    for file in copy.glob("text_encoder*/config.json"):
        file.write_text(json.dumps(json.loads(file.read_text()) | {"dtype": "float16", "torch_dtype": "float16"}))
    return copy


def test_it_says_what_the_base_took_in(tiny_folder: Folder, tmp_path: Path) -> None:
    """By name, and no path of this machine."""
    adapted = make("latent", tiny_folder("latent"), adapter=Adapter(rank=2))
    LoRA().write(adapted, tmp_path / "style.safetensors", {})
    vae = Path(shutil.copytree(tiny_folder("latent") / "vae", tmp_path / "sharper"))
    model = make("latent", tiny_folder("latent"), vae=str(vae), loras=[f"{tmp_path}/style.safetensors:0.5"])
    model.save_pipeline(tmp_path / "out")
    told = readme.text(model, tmp_path / "out", step=1, of_pictures=[])
    assert "It began with the autoencoder `sharper` and the LoRA `style.safetensors` at 0.5 in the base" in told
    assert str(tmp_path) not in told
    assert "began with" not in readme.text(adapted, tiny_folder("latent"), step=1, of_pictures=[])


@pytest.mark.parametrize(("name", "said"), [("pixel", "An `IFPipeline`"), ("latent", "A `StableDiffusionPipeline`")])
def test_its_words_are_english(name: str, said: str, tiny_folder: Folder) -> None:
    told = readme.text(make(name, tiny_folder(name)), tiny_folder(name), step=1, of_pictures=[])
    assert said in told
