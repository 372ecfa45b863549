"""What makes a small needle larger: Lanczos, an upscaler of diffusers that emu has no model for, or one that it has.

An upscaler multiplies the sides by a whole number. It is given the whole picture, again where once is not enough, and
what is too large then is scaled down: nothing that the picture shows is thrown away before. Those that are models of
emu stand in `emu.sampling.enlarging`.
"""

from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from emu.errors import UserError, first_line
from emu.storage.places import without_places
from emu.terminal.bars import only_ours

LANCZOS = "lanczos"
KIND = "StableDiffusionLatentUpscalePipeline"
MULTIPLE = 64  # pixels: sides that it takes
LARGEST = 2**31  # seeds


class Upsampler(ABC):
    """Makes one picture larger, by its caption and a seed of its own: no picture depends on another."""

    @abstractmethod
    def enlarge(self, image: Image.Image, text: str, *, short: int, seed: int) -> Image.Image:
        """RGB -> RGB of the same shape with longer sides, the shorter one on its way to `short` pixels or past it."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What it was, for the metadata: equal descriptions give equal pictures."""

    def __call__(self, image: Image.Image, text: str, *, short: int, seed: int) -> Image.Image:
        """The picture with its shorter side `short` pixels long."""
        width, height = _size(image, short)
        while min(image.size) < short:
            image = self.enlarge(image, text, short=short, seed=seed)
        return image if image.size == (width, height) else image.resize((width, height), Image.Resampling.LANCZOS)


class Lanczos(Upsampler):
    """Windowed sinc interpolation: adds no detail."""

    def enlarge(self, image: Image.Image, text: str, *, short: int, seed: int) -> Image.Image:
        return image.resize(_size(image, short), Image.Resampling.LANCZOS)

    def describe(self) -> dict[str, Any]:
        return {"upsampler": LANCZOS}


def is_plain(folder: Path) -> bool:
    """Whether an `Upscaler` takes a pipeline folder."""
    from emu.pipeline_folders.folders import read_index

    return bool(read_index(folder)["_class_name"] == KIND)


class Upscaler(Upsampler):
    """A pipeline of diffusers that takes a caption and a picture: the x2 one, which no model of emu's learns.

    Args:
        name: its folder or hub name.
        settings: of its call, such as num_inference_steps; its own defaults otherwise.
    """

    def __init__(self, name: str, **settings: Any) -> None:
        from emu.pipeline_folders.folders import locate, read_index

        self.name, self.settings = name, settings
        self.folder = locate(name)
        self.index = read_index(self.folder)

    @cached_property
    def pipeline(self) -> Any:
        import diffusers
        import torch

        from emu.pipeline_folders import components

        only_ours()
        there = torch.cuda.is_available()
        dtype = torch.float16 if there else torch.float32
        kind = getattr(diffusers, self.index["_class_name"])
        # By themselves libraries draw at random what a file lacks.
        dtypes = dict.fromkeys(components.networks(self.index), dtype)
        networks = components.load_networks(self.folder, self.index, dtypes)
        try:
            pipeline = kind.from_pretrained(self.folder, dtype=dtype, **networks)
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            reason = first_line(error)
            raise UserError(f"--upsampler {self.name}: cannot be loaded ({reason}); name a whole pipeline") from None
        pipeline.set_progress_bar_config(disable=True)
        return pipeline.to("cuda" if there else "cpu")

    @cached_property
    def sha256(self) -> str:
        """Of its components' files."""
        from emu.pipeline_folders.folders import content_hash

        parts = (self.folder / name for name, value in self.index.items() if isinstance(value, list))
        return content_hash(part for part in parts if part.is_dir())

    def describe(self) -> dict[str, Any]:
        return {"upsampler": without_places(self.name), "upsampler_sha256": self.sha256, "settings": self.settings}

    def enlarge(self, image: Image.Image, text: str, *, short: int, seed: int) -> Image.Image:
        import torch

        width, height = image.size
        start = padded(image, MULTIPLE)
        generator = torch.Generator().manual_seed(seed)  # the CPU's: one seed, one noise, on any device
        try:
            large = self.pipeline(prompt=text, image=start, generator=generator, **self.settings).images[0]
        except TypeError as error:
            raise UserError(f"--upsampler {self.name}: {error}; see what its call takes for --sampler") from None
        times = large.width // start.width
        if times < 2:
            raise UserError(f"--upsampler {self.name}: makes no picture larger; name an upscaler, or {LANCZOS}")
        cropped: Image.Image = large.crop((0, 0, times * width, times * height)).convert("RGB")
        return cropped


def lanczos(**settings: Any) -> Upsampler:
    """UserError: it has no settings."""
    if settings:
        raise UserError(f"--sampler: {LANCZOS} has no settings; give them to a pipeline")
    return Lanczos()


def _size(image: Image.Image, short: int) -> tuple[int, int]:
    """(width, height) of the picture's shape whose shorter side is `short`."""
    width, height = (max(short, round(side * short / min(image.size))) for side in image.size)
    return width, height


def padded(image: Image.Image, multiple: int) -> Image.Image:
    """Sides that are multiples of what a network takes, by repeating the last line: nothing is stretched."""
    right, below = (-side % multiple for side in image.size)
    return Image.fromarray(np.pad(np.asarray(image), ((0, below), (0, right), (0, 0)), mode="edge"))
