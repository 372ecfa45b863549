"""Small needles through any model that makes pictures larger: a hub name, a folder, an export, a run of one's own.

emu curate needles --upsample 1024 --upsampler runs/if-ii-m --sampler noise_level=100
"""

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from emu import single_files, starts
from emu.batch import Prompts
from emu.curate.upsamplers import LANCZOS, Upsampler, Upscaler, is_plain, padded
from emu.drawn import to_pixels
from emu.errors import UserError
from emu.models.loading import find_checkpoint, find_model, is_of_a_run
from emu.module import TextToImageModule
from emu.module.settings import draw
from emu.pipeline_folders import folders
from emu.sampling.sample import Stage
from emu.storage import files
from emu.storage.places import without_places
from emu.terminal.counted import an


def upsampler(name: str, **settings: Any) -> Upsampler:
    """The one that a model's name stands for. UserError: none, or one that makes no picture larger."""
    try:
        if not is_of_a_run(name) and is_plain(single_files.describing(name)):
            return Upscaler(name, **settings)
        return Enlarging(Stage(name, settings))
    except UserError as error:
        said = str(error).removeprefix("model.pretrained ").removeprefix(f"{name}: ")
        raise UserError(said if said.startswith("--") else f"--upsampler {name}: {said}") from None


class Enlarging(Upsampler):
    """A model that starts from a picture, by the caption; on a GPU it computes in bfloat16, its weights in float32."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        model = find_model(stage.model)
        if not model.starts_from_picture:
            raise UserError(f"{an(type(model).__name__)} makes no picture larger; name what does, or {LANCZOS}")

    @cached_property
    def model(self) -> TextToImageModule:
        model = self.stage.load()
        return model.to("cuda" if torch.cuda.is_available() else "cpu")

    @cached_property
    def sha256(self) -> str:
        """Of all that draws: the pipeline's files, and the checkpoint of a run."""
        index = folders.read_index(self.model.folder)
        parts = [self.model.folder / name for name, value in index.items() if isinstance(value, list)]
        whole = folders.content_hash(part for part in parts if part.is_dir())
        return f"{whole} {checkpoint_sha256(self.stage.model)}".strip()

    def describe(self) -> dict[str, Any]:
        name, settings = without_places(self.stage.model), {**self.stage.sampler}
        return {"upsampler": name, "upsampler_sha256": self.sha256, "settings": settings}

    @torch.no_grad()
    def enlarge(self, image: Image.Image, text: str, *, short: int, seed: int) -> Image.Image:
        model, (width, height) = self.model, image.size
        if model.factor < 2:
            raise UserError(f"--upsampler {self.stage.model}: makes no picture larger; name what does, or {LANCZOS}")
        start = padded(image, max(1, model.size_multiple // model.factor))
        batch: Prompts = {"prompt": [text], "seed": torch.tensor([seed]), "index": torch.zeros(1)}
        batch["columns"] = [{starts.COLUMN: start}]
        with torch.autocast(model.device.type, torch.bfloat16, enabled=model.device.type == "cuda"):
            pixels = to_pixels(draw(model, batch), [text])[0]
        large = Image.fromarray(pixels.permute(1, 2, 0).cpu().numpy())
        return large.crop((0, 0, model.factor * width, model.factor * height))


def checkpoint_sha256(model: str) -> str:
    """Of the checkpoint that a run is drawn with; "" of what is no run."""
    if not is_of_a_run(model):
        return ""
    checkpoint = find_checkpoint(Path(model))
    return folders.content_hash([checkpoint]) if checkpoint.is_dir() else files.sha256(checkpoint)
