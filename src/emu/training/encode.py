"""Runs the frozen encoders once over a curated set, into a cache that CuratedData serves from.

    emu encode -c configs/latent/sdxl.yaml --data.root my/needles --data.cache runs/cache

Resumable: what a killed run has flushed is not made again. All ranks share the work and write shards of their own.
Pictures and captions are encoded one at a time: the last bits of a convolution or of a projection depend on how many go
through it together (by 1e-6 on a CPU, between 1 and 16), and what is cached must depend on the one thing alone.
"""

import hashlib
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from emu.batch import Text
from emu.data import CuratedData
from emu.data.dataset import Decoded
from emu.data.epoch import Draw
from emu.data.keys import Digests, picture_key, prompt_key
from emu.data.survey import Faults
from emu.drawn import require_finite
from emu.errors import UserError
from emu.module import asked
from emu.storage import locks
from emu.storage.cache import Cache
from emu.terminal.bars import Bar

Entry = tuple[str, dict[str, Tensor]]


class Encoder(Protocol):
    """What encoding asks of a TextToImageModule."""

    @property
    def device(self) -> torch.device: ...
    def configure_model(self) -> None: ...
    def fingerprint(self) -> str: ...
    def encode_images(self, images: Tensor) -> Tensor: ...
    def encode_prompts(self, prompts: list[str]) -> dict[str, Tensor]: ...
    def encode_negatives(self, prompts: list[str]) -> dict[str, Tensor]: ...


@torch.no_grad()
def encode(
    model: Encoder,
    data: CuratedData,
    folder: str | Path,
    *,
    rank: int = 0,
    world: int = 1,
    flush_seconds: float = 10.0,
) -> Path:
    """Encode every picture, held-out ones too, every distinct caption and "", and what checks draw.

    Returns the cache's own folder.

    That is `folder/FINGERPRINT`, so caches of several encoders lie side by side. Rank `rank` of `world` does its share;
    being killed costs at most the last `flush_seconds`.
    """
    model.configure_model()
    data.setup("fit")
    if data.stream:
        raise UserError(f"data.root {data.root}: a stream, whose encoders run in the loop; there is nothing to encode")
    cache = Cache(Path(folder).expanduser() / model.fingerprint())
    # By set and rank: caches are there to be shared, and two commands over one set would do the same work twice.
    lock = f".{hashlib.sha256(str(Path(data.root).resolve()).encode()).hexdigest()[:16]}-{rank}{locks.NAME}"
    with locks.alone(cache.folder, f"emu encode of {data.root}", name=lock):
        if all(locks.is_free(other) for other in cache.folder.glob(f".*{locks.NAME}") if other.name != lock):
            cache.sweep()
        fill(cache, model, data, rank=rank, world=world, flush_seconds=flush_seconds)
    return cache.folder


def fill(cache: Cache, model: Encoder, data: CuratedData, *, rank: int, world: int, flush_seconds: float) -> None:
    """This rank's share of what the cache lacks."""
    digests = Digests()
    pictures = {
        picture_key(picture.entry.open, picture.bucket, digests): picture
        for picture in data.train_pictures + data.held_out_pictures
    }
    texts = [*(Text(caption) for caption in ("", *data.captions())), *data.drawn_texts()]
    prompts = {prompt_key(text.words, negative=text.negative): text for text in texts}

    def share(keys: Iterable[str]) -> list[str]:
        return [key for key in list(keys)[rank::world] if key not in cache]  # in this order: ranks start at odd times

    mine = share(pictures)
    images = Decoded([pictures[key] for key in mine], max_pixels=data.options.max_pixels)
    bar = Bar(_encode_pictures(model, mine, images, data.faults), "pictures", len(mine), disable=rank > 0)
    _store(bar, cache, flush_seconds=flush_seconds)
    mine = share(prompts)
    bar = Bar(_encode_prompts(model, mine, [prompts[key] for key in mine]), "texts", len(mine), disable=rank > 0)
    _store(bar, cache, flush_seconds=flush_seconds)


def _encode_pictures(model: Encoder, keys: list[str], images: Decoded, faults: Faults) -> Iterator[Entry]:
    """key, {`x`, `sound`}; `sound` is False where the file could not be decoded and grey took its place."""
    for i, key in enumerate(keys):
        item = images[Draw(i)]
        if message := faults.add([item["fault"]] if item["fault"] else []):
            Bar.write(message)
        x = asked.pictures(model, item["image"][None].to(model.device))
        require_finite(x, [item["name"]], "the encoder made")
        yield key, {"x": x[0], "sound": torch.tensor(not item["fault"])}


def _encode_prompts(model: Encoder, keys: list[str], texts: list[Text]) -> Iterator[Entry]:
    """key, cond without its batch axis."""
    first: dict[str, Tensor] = {}
    for key, text in zip(keys, texts, strict=True):
        cond = asked.prompts(model, [text.words], negative=text.negative)
        asked.alike(model, first := first or cond, cond)
        for tensor in cond.values():
            require_finite(tensor, [f"the text {text.words!r}"], "the text encoder made")
        yield key, {name: tensor[0] for name, tensor in cond.items()}


def _store(entries: Iterable[Entry], cache: Cache, *, flush_seconds: float) -> None:
    pending: dict[str, dict[str, Tensor]] = {}
    flushed = time.monotonic()
    for key, tensors in entries:
        pending[key] = tensors
        if time.monotonic() - flushed >= flush_seconds:
            cache.put_many(pending)
            pending, flushed = {}, time.monotonic()
    cache.put_many(pending)
