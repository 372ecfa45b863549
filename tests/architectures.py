"""The architectures under test: those of the package, and one from a user's own file outside of it."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader

import tokens
from emu import models, starts
from emu.batch import Cond
from emu.module import TextToImageModule

SANA = Path(__file__).parents[1] / "examples" / "sana.py"
START = Path(__file__).parent / "start.png"  # 4x4 pixels
PROMPTS = ["a red boat at noon", "", "two green hills"]
SEEDS = [7, 8, 9]


def load_example(path: Path) -> Any:
    """A file of a user's, imported from where it lies."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # where Python looks up the file of a class
    spec.loader.exec_module(module)
    return module


OLDER: dict[str, type[TextToImageModule]] = {
    "latent": models.LatentDiffusion,
    "latent_xl": models.LatentDiffusionXL,
    "pixel": models.PixelDiffusion,
    "muse": models.Muse,
    "flow": models.FlowMatching,
    "pixart": models.PixArtSigma,
    "own_sana": load_example(SANA).Sana,
}
FLOW: dict[str, type[models.FlowMatching]] = {
    "z_image": models.ZImage,
    "flux": models.Flux,
    "chroma": models.Chroma,
    "flux2_klein": models.Flux2Klein,
    "qwen_image": models.QwenImage,
    "qwen_image_21": models.QwenImage21,
    "krea2": models.Krea2,
    "lumina2": models.Lumina2,
    "sana": models.Sana,
    "prx": models.PRX,
    "prx_pixel": models.PRXPixel,
    "auraflow": models.AuraFlow,
    "ernie_image": models.ErnieImage,
    "hidream": models.HiDream,
    "kandinsky5": models.Kandinsky5,
    "cogview4": models.CogView4,
    "ovis_image": models.OvisImage,
    "longcat_image": models.LongCatImage,
}
OF_PICTURES: dict[str, type[TextToImageModule]] = {
    "upscaling": models.PixelUpscaling,
    "latent_upscaling": models.LatentUpscaling,
    "muse_upscaling": models.MuseUpscaling,
}
OF_EMU: dict[str, type[TextToImageModule]] = {"joined": models.LatentDiffusionXL}
"""Made of parts of emu's own: the paper's latent model."""
CLASSES: dict[str, type[TextToImageModule]] = {**OLDER, **FLOW, **OF_PICTURES, **OF_EMU}
TEXT_LENGTH = {"lumina2": 96}  # its template alone takes 60 of them


def make(name: str, folder: Path, **settings: Any) -> TextToImageModule:
    """A configured module on a tiny pipeline; pictures of 16 or 32 pixels in two steps, prompts of few tokens."""
    sampler: dict[str, Any] = {"num_inference_steps": 2}
    if "max_sequence_length" in CLASSES[name].sampler_defaults:
        sampler["max_sequence_length"] = TEXT_LENGTH.get(name, 48)
    settings = {"resolution": side(name), **settings, "sampler": sampler | settings.get("sampler", {})}
    model = CLASSES[name](str(folder), **settings)
    model.configure_model()
    return model


def given(name: str) -> dict[str, Any]:
    """What a plain pipeline is loaded with: nothing for what rewrites prompts alone, and what needs no torchvision."""
    if name == "longcat_image":
        return {"text_processor": None}
    return {"processor": tokens.qwen_processor()} if name == "qwen_image_21" else {}


def side(name: str) -> int:
    return 16 if name == "pixel" or name in OF_PICTURES else 32


def images(name: str, *, seed: int = 0) -> Tensor:
    """float (3,3,h,w) in [-1,1]"""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(3, 3, side(name), side(name), generator=generator) * 2 - 1


def sizes(name: str) -> Tensor:
    """int64 (3,6), each picture's another."""
    s = side(name)
    return torch.tensor([[s, s, 0, 0, s, s], [2 * s, s, 4, 0, s, s], [s, 3 * s, 0, 5, s, s]])


@torch.no_grad()
def encoded(model: TextToImageModule, name: str) -> tuple[Tensor, Cond]:
    """What `loss` takes, for three pictures; encoded one by one, as `emu encode` does and training on a CPU."""
    x = torch.cat([model.encode_images(image[None]) for image in images(name)])
    conds = [model.encode_prompts([prompt]) for prompt in PROMPTS]
    return x, {**{key: torch.cat([cond[key] for cond in conds]) for key in conds[0]}, "size": sizes(name)}


def training_batch(name: str, *, seed: int = 0) -> dict[str, Any]:
    """As CuratedData makes it."""
    return {
        "image": images(name, seed=seed),
        "text": PROMPTS,
        "size": sizes(name),
        "weight": torch.ones(3),
        "noise_seed": [11, 12, 13],
        "time": torch.tensor([0.2, 0.5, 0.8]),
        "name": ["a.png", "b.png", "c.png"],
    }


def prompt_batch() -> dict[str, Any]:
    """As CuratedData makes it; the last is a filler."""
    batch = {"prompt": PROMPTS, "seed": torch.tensor(SEEDS), "index": torch.tensor([0, 1, -1])}
    return {**batch, "columns": [{"image": str(START)}] * 3}


def prompts(model: TextToImageModule, of: list[str] = PROMPTS) -> Cond:
    """What `sample` takes for prompts, with the picture that each starts from where the model asks for one."""
    cond = model.encode_prompts(of)
    if model.starts_from_picture:
        cond["image"] = starts.of_rows([{"image": str(START)}]).expand(len(of), -1, -1, -1)
    return cond


def trainer(folder: Path, **settings: Any) -> L.Trainer:
    """On the CPU, silent, logging each step."""
    return L.Trainer(
        accelerator="cpu",
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        **settings,
    )


def loader(*batches: dict[str, Any]) -> DataLoader[Any]:
    """The batches as they are."""
    return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]
