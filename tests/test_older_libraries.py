"""An export draws the same with the oldest diffusers and transformers that the README promises.

They live in an environment of their own, beside the torch of this one. Skipped where they cannot be installed.
"""

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
import torch

from architectures import PROMPTS, SEEDS, make, side
from layouts_as_published import LAYOUTS, publish

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning")]

OLDEST = ["diffusers==0.27.2", "transformers==4.38.2"]  # of March 2024; the README names them
# What they need and the newest of which they do not know: chosen by hand, since torch is not to be installed again.
BESIDE = [
    "huggingface_hub==0.21.4", "tokenizers==0.15.2", "accelerate==0.27.2", "numpy<2", "protobuf<5", "sentencepiece",
    "safetensors", "pillow", "filelock", "requests", "urllib3", "idna", "certifi", "charset-normalizer", "packaging",
    "pyyaml", "regex", "tqdm", "importlib_metadata", "zipp", "fsspec", "typing_extensions", "psutil",
    "sympy", "mpmath", "networkx", "jinja2", "markupsafe",
]  # fmt: skip

DRAW = """
import json, sys, numpy, torch
from diffusers import DiffusionPipeline
for one in json.load(open(sys.argv[1])):
    pipeline = DiffusionPipeline.from_pretrained(one["folder"])
    if getattr(pipeline, "safety_checker", None) is not None:
        pipeline.safety_checker = None  # its weights are random, and so is what it would blacken
    if getattr(pipeline, "watermarker", None) is not None:
        pipeline.watermarker = None
    generator = torch.Generator().manual_seed(one["seed"])
    drawn = pipeline(one["prompt"], generator=generator, output_type="np", **one["settings"])
    numpy.save(one["folder"] + ".npy", drawn.images[0])
"""


@pytest.fixture(scope="module")
def older_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with OLDEST."""
    home = tmp_path_factory.mktemp("older")
    subprocess.run([sys.executable, "-m", "venv", home], check=True)
    python = home / "bin" / "python"
    command = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", *OLDEST, *BESIDE]
    installed = subprocess.run(command, capture_output=True, text=True)
    if installed.returncode:
        pytest.skip(f"{' and '.join(OLDEST)} cannot be installed here: {installed.stderr.strip()[-300:]}")
    packages = next((home / "lib").glob("python3*/site-packages"))
    for pattern in ("torch", "torch-*", "torchgen", "functorch", "nvidia*", "triton*", "cuda*"):
        for path in Path(sysconfig.get_paths()["purelib"]).glob(pattern):
            (packages / path.name).symlink_to(path)
    return python


def test_an_export_draws_the_same_with_the_oldest_libraries(older_python: Path, tmp_path: Path) -> None:
    asked, wanted = [], {}
    for layout in ("sd15", "sd21-zero-snr", "sdxl", "if-m", "amused-256"):
        name, folder = LAYOUTS[layout][0], tmp_path / f"{layout}-tuned"
        model = make(name, publish(layout, tmp_path / layout))
        for parameter in model.ema.parameters():
            parameter.mul_(1.02)  # so that it is the tuned weights that must arrive
        model.save_pipeline(folder)
        with torch.no_grad():
            drawn = model.sample(model.encode_prompts(PROMPTS[:1]), model.encode_prompts([""]), SEEDS[:1])[0]
        wanted[folder] = drawn.permute(1, 2, 0).numpy()
        settings = {**model.sampler, "height": side(name), "width": side(name)}
        asked.append({"folder": str(folder), "prompt": PROMPTS[0], "seed": SEEDS[0], "settings": settings})
    (tmp_path / "asked.json").write_text(json.dumps(asked))
    command = [older_python, "-W", "ignore", "-c", DRAW, tmp_path / "asked.json"]
    done = subprocess.run(command, capture_output=True, text=True, env={"HF_HUB_OFFLINE": "1", "HOME": str(tmp_path)})
    assert done.returncode == 0, done.stderr[-3000:]
    assert "newly initialized" not in done.stderr
    for folder, picture in wanted.items():
        difference = np.abs(np.load(f"{folder}.npy") - picture)
        assert difference.max() < 1 / 255, f"{folder.name}: {difference.max()}"


def test_the_readme_promises_what_is_tried() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    for package, version in (pin.split("==") for pin in OLDEST):
        assert f"{package} {version}" in readme
