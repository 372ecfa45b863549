"""Pre-training a tiny model on captioned pictures held in memory, through the module's own `encode_*` and `loss`."""

import math
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
import torch
from images import to_tensor
from subjects import subject_loss
from torch import Tensor, nn
from torch.nn import functional as F
from untrained import assemble, plan

from emu.batch import Cond
from emu.models import Muse
from emu.module import TextToImageModule
from emu.optim import averaging

RATE = 1.5e-3  # the highest learning rate, of AdamW, where none is given


def progress(name: str, losses: Iterator[float], every: int = 100) -> None:
    """Run through `losses` and say how they go."""
    begun, total = time.time(), 0.0
    for step, loss in enumerate(losses, 1):
        total += loss
        if step % every == 0:
            print(f"{name} {step}: {total / every:.4f}  {time.time() - begun:.0f} s", flush=True)
            total = 0.0


def pretrain(
    name: str,
    work: Path,
    images: np.ndarray,
    captions: list[str],
    *,
    rng: np.random.Generator,
    minutes: float,
    steps: float = math.inf,
    caption_dropout: float = 0.0,
    batch: int = 32,
    rate: float = RATE,
    start: str | None = None,
    backbone: str | None = None,
    where: np.ndarray | None = None,
) -> None:
    """Teach a backbone `images`, uint8 (n,64,64,3), with `captions`; its average is saved as WORK/NAME.

    It begins with the pipeline `start`; where None, around the parts in `work`, with the backbone of the pipeline
    `backbone`, or untrained. The learning rate falls from `rate` to nothing over
    `steps` or over `minutes`, whichever ends first. `where`, bool (n,16,16), says in which cells subjects are, for the
    loss to look at.
    """
    module = build(name, work, start, backbone)
    draw = draws(module, images, captions, plan(name).resolution, rng=rng, caption_dropout=caption_dropout, batch=batch)
    places = None if where is None else torch.from_numpy(where)
    optimizer = torch.optim.AdamW(module.backbone.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
    module.backbone.train()
    begun, total = time.time(), 0.0
    for step in count(1):
        done = min(1.0, max(step / steps, (time.time() - begun) / 60 / minutes))
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, step / 200) * (0.02 + 0.98 * (1 + math.cos(math.pi * done)) / 2)
        pick, x, cond = next(draw)
        if places is None:
            loss = module.loss(x, cond).mean()
        else:
            loss = subject_loss(module, x, {**cond, "where": places[pick]}).mean()
        descend(module.backbone, optimizer, loss)
        averaging.update(module.ema, module.backbone, decay=averaging.decay_at(step, 0.998))
        total += float(loss.detach())
        if step % 100 == 0:
            print(f"{name} {step}: {total / 100:.4f}  {time.time() - begun:.0f} s", flush=True)
            total = 0.0
        if step % 500 == 0 or done == 1:
            module.save_pipeline(work / name)
        if done == 1:
            break


def build(name: str, work: Path, start: str | None, backbone: str | None = None) -> TextToImageModule:
    """The module of the pipeline `start`; where None, of one that is assembled from the parts in `work`."""
    made = plan(name)
    offset = {} if made.architecture is Muse else {"noise_offset": 0.02}  # the paper's, of its last pre-training stage
    module = made.architecture(start or str(assemble(name, work, backbone)), resolution=made.resolution, **offset)
    module.configure_model()
    if start is None and isinstance(module, Muse):
        begin_with_codes(module)
    return module


@torch.no_grad()
def begin_with_codes(module: Muse) -> None:
    """Alike codes begin with alike embeddings and alike outputs: random waves of what the tokenizer knows them by."""
    codes = module.pipeline.vqvae.quantize.embedding.weight
    network, alike = module.backbone, (codes - codes.mean(0)) / codes.std(0)
    embeddings, output = network.embed.embeddings.weight, network.mlm_layer.conv2.weight
    angles = alike @ torch.randn(codes.shape[1], embeddings.shape[1] // 2)
    waves = torch.cat([angles.cos(), angles.sin()], dim=1)
    embeddings[: len(codes)] = waves
    embeddings[len(codes) :].normal_()
    output.copy_(0.1 * waves[:, :, None, None])
    averaging.update(module.ema, network, decay=0.0)


def draws(
    module: TextToImageModule,
    images: np.ndarray,
    captions: list[str],
    side: int,
    *,
    rng: np.random.Generator,
    caption_dropout: float,
    batch: int,
) -> Iterator[tuple[Tensor, Tensor, Cond]]:
    """Endless random batches: which pictures, and what `loss` takes; encoded once, captions dropped anew each time."""
    x = encode_all(module, images, side)
    cond, rows = encode_captions(module, captions)
    dropping = np.random.default_rng(1)
    while True:
        pick = torch.from_numpy(rng.integers(len(images), size=batch))
        dropped = torch.from_numpy(dropping.random(batch) < caption_dropout)
        row = rows[pick].masked_fill(dropped, 0)
        # Half are said to have been as small as they are drawn: then a model that reads sizes means the same by both.
        original = torch.where(torch.rand(batch, 1) < 0.5, side, images.shape[1]).expand(batch, 2)
        size = torch.cat([original, torch.tensor([[0, 0, side, side]]).expand(batch, 4)], dim=1)
        batch_x = x[pick] if x.dtype == torch.int64 else x[pick].float()
        yield pick, batch_x, {**{key: value[row] for key, value in cond.items()}, "size": size}


@torch.no_grad()
def encode_all(module: TextToImageModule, images: np.ndarray, side: int) -> Tensor:
    """What `loss` takes, for every picture: float16 or token ids."""
    parts = []
    for i in range(0, len(images), 128):
        batch = F.interpolate(to_tensor(images[i : i + 128]), size=(side, side), mode="area")
        x = module.encode_images(batch)
        parts.append(x if x.dtype == torch.int64 else x.half())
    return torch.cat(parts)


@torch.no_grad()
def encode_captions(module: TextToImageModule, captions: list[str]) -> tuple[Cond, Tensor]:
    """The conditions of every distinct caption, "" in row 0, and the row of each caption, int64 (n,)."""
    texts = sorted({"", *captions})
    parts = [module.encode_prompts(texts[i : i + 256]) for i in range(0, len(texts), 256)]
    row = {text: i for i, text in enumerate(texts)}
    return {key: torch.cat([part[key] for part in parts]) for key in parts[0]}, torch.tensor([row[c] for c in captions])


def descend(network: nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """One clipped step."""
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()
