"""Pictures as an embedder sees them, kept by content: what was seen once is not looked at again."""

import hashlib
import inspect
import io
import json
import re
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from emu import trust
from emu.cache import Cache
from emu.curate.picture import reduced
from emu.data.pictures import BadPicture, decode
from emu.errors import UserError
from emu.files import sha256

EMBEDDER = "emu.judges.embedding.Embedder"
CLASS_PATH = re.compile(r"([a-z_]\w*(?:\.\w+)*\.[A-Z]\w*)(?::(.*))?")
SIDE = 448  # pixels: larger pictures are scaled down before the embedder prepares them
FLUSH = 64  # pictures
MAX_PIXELS = 100_000_000

Matrix = NDArray[np.float64]


class Eye(Protocol):
    """An embedder, such as `emu.judges.embedding.Embedder`."""

    def image(self, image: Tensor) -> Tensor:
        """float (3,h,w) in [0,1] on any device -> (d,)."""

    def describe(self) -> dict[str, str | float]:
        """With the `sha256` of its weights."""


def load_eye(given: str) -> Eye:
    """CLASS_PATH, CLASS_PATH:ARG, or a folder or hub name of CLIP or SigLIP. UserError: none of these."""
    found = CLASS_PATH.fullmatch(given)
    class_path, argument = found.groups() if found else (EMBEDDER, given)
    arguments = [] if argument is None else [argument]
    kind = trust.load(class_path, where="--embedder")  # a head's card may name it too, and come from anybody
    if not (isinstance(kind, type) and all(callable(getattr(kind, name, None)) for name in ("image", "describe"))):
        raise UserError(f"--embedder {given}: does not embed pictures; give a folder or hub name of CLIP or SigLIP")
    try:
        inspect.signature(kind).bind(*arguments)
        made: Eye = kind(*arguments)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise UserError(f"--embedder {given}: {error}; give a folder or hub name of CLIP or SigLIP") from None
    return made


def identity(eye: Eye) -> str:
    """Of what decides its embeddings: weights and preprocessing, not the versions that ran them."""
    card = {key: value for key, value in eye.describe().items() if key in ("sha256", "preprocessing")}
    return hashlib.sha256(json.dumps([card, SIDE], sort_keys=True).encode()).hexdigest()


def see(eye: Eye, image: Image.Image) -> Tensor:
    """A picture of any size -> (d,) on the CPU."""
    pixels = torch.from_numpy(np.array(reduced(image, SIDE))).permute(2, 0, 1).float() / 255
    return eye.image(pixels.cuda() if torch.cuda.is_available() else pixels).cpu()


class Embeddings:
    """Files -> vectors. `made` counts those that were not known before.

    Args:
        cache: a folder.
    """

    def __init__(self, eye: Eye, cache: Path) -> None:
        self.eye, self.cache, self.made = eye, Cache(cache), 0
        self.identity = identity(eye)[:16]

    def __call__(self, folder: Path, files: list[str]) -> tuple[list[str], Matrix]:
        """(the files that could be read, float64 (n,d) of them)."""
        keys = {file: key for file in files if (key := self._key(folder / file)) is not None}
        read = {key for key in keys.values() if key in self.cache}
        new: dict[str, dict[str, Tensor]] = {}
        for file, key in keys.items():
            if key in read:
                continue
            try:
                content = (folder / file).read_bytes()
                image = decode(lambda content=content: io.BytesIO(content), max_pixels=MAX_PIXELS, least=SIDE)  # type: ignore[misc]
            except BadPicture:
                continue
            new[key] = {"x": see(self.eye, image)}
            read.add(key)
            if len(new) == FLUSH:
                self._keep(new)
        self._keep(new)
        there = [file for file in files if keys.get(file) in read]
        rows = [self.cache.get(keys[file])["x"].double().numpy() for file in there]
        return there, np.array(rows, dtype=np.float64)

    def _keep(self, new: dict[str, dict[str, Tensor]]) -> None:
        self.cache.put_many(new)
        self.made += len(new)
        new.clear()

    def _key(self, path: Path) -> str | None:
        try:
            return f"{sha256(path)}-{self.identity}"
        except OSError:
            return None
