"""Teaches the two judges of the emoji run, and measures them on what they never saw.

Captions are dealt by name: those of the prompts (their fine renders are in no set) stay out of all that a judge learns,
and so do further captions, to say how well it does on pictures of concepts it never saw.
"""

import json
import zlib
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from emoji_judges import Look, Match, Matcher, rank
from emoji_pictures import Pictures, shuffled
from images import degraded, through
from pretraining import descend
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from emu.judges.world import WorldReader
from emu.parts.text_encoder import words_of

FINE = "fluent-3d"
BATCH = 128
OTHERS = 9  # captions beside the right one, in the accuracy that is reported


def learn_look(pictures: Pictures, prompts: list[str], vae: AutoencoderKL, folder: Path, *, epochs: int) -> None:
    """A fine render against anything else, learned on half of the captions, told on the other half."""
    learned = [zlib.crc32(c.encode()) % 2 == 0 and c not in prompts for c in pictures.captions]
    seen, unseen = pictures.where(learned), pictures.where([not known for known in learned])
    network, images = WorldReader(1), seen.tensor()
    goal = torch.tensor([float(source == FINE) for source in seen.sources])
    balance = (len(goal) - goal.sum()) / goal.sum()

    def loss_of(rows: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(
            network(varied(images[rows])).flatten(), goal[rows], pos_weight=balance
        )

    _learn("look", network, loss_of, len(goal), epochs)
    truth = torch.tensor([source == FINE for source in unseen.sources])
    right = (_look(network, unseen.tensor()) > 0) == truth
    again = (_look(network, through(vae, unseen.tensor())) > 0) == truth
    accuracy = {
        "held-out accuracy: fine renders": right[truth].float().mean(),
        "held-out accuracy: Noto": right[[source == "noto" for source in unseen.sources]].float().mean(),
        "held-out accuracy: clip art": right[[source == "openclipart" for source in unseen.sources]].float().mean(),
        "held-out accuracy: fine renders through the autoencoder": again[truth].float().mean(),
        "held-out accuracy: the rest through the autoencoder": again[~truth].float().mean(),
    }
    _keep(network, folder / Look.name, accuracy)


def learn_match(pictures: Pictures, prompts: list[str], folder: Path, *, epochs: int) -> None:
    """Captions against pictures, learned without the prompts and without a tenth of the other captions."""
    aside = [zlib.crc32(caption.encode()) % 10 == 0 for caption in pictures.captions]
    asked = [caption in set(prompts) for caption in pictures.captions]
    seen = pictures.where([not a and not b for a, b in zip(aside, asked, strict=True)])
    words = sorted({word for caption in seen.captions for word in words_of(caption)})
    network, images = Matcher(words), seen.tensor()

    def loss_of(rows: Tensor) -> Tensor:
        captions = [seen.captions[i] for i in rows]
        logits = network.log_scale.exp() * network.see(varied(images[rows])) @ network.read(captions).T
        same = torch.tensor([[float(a == b) for a in captions] for b in captions])
        goal = same / same.sum(1, keepdim=True)
        return (F.cross_entropy(logits, goal) + F.cross_entropy(logits.T, goal)) / 2

    _learn("match", network, loss_of, len(seen.captions), epochs)
    flat = pictures.where([a and source == "noto" for a, source in zip(asked, pictures.sources, strict=True)])
    fine = pictures.where(
        [a and not b and source == FINE for a, b, source in zip(aside, asked, pictures.sources, strict=True)]
    )
    accuracy = {}
    for what, some in (("flat pictures of the prompts", flat), ("fine renders of other captions", fine)):
        with torch.inference_mode():
            shares = rank(network, some.tensor(), some.captions, among=sorted(set(some.captions)))
        accuracy[f"score of held-out {what} (chance 0.5)"] = shares.mean()
        accuracy[f"held-out accuracy, 1 of 10: {what} (chance 0.1)"] = (shares**OTHERS).mean()
    known = network.read(prompts).any(1).float().mean()
    accuracy["prompts with a word it knows"] = known
    _keep(network, folder / Match.name, accuracy, words=words, prompts=prompts)


def varied(images: Tensor) -> Tensor:
    """Batches as they are, or degraded, shifted by a few pixels and mirrored."""
    if torch.rand(()) < 0.3:
        return images
    images = degraded(images)
    right, down = (int(torch.randint(-4, 5, ())) for _ in range(2))
    moved = images.roll((down, right), dims=(2, 3))
    return moved.flip(3) if torch.rand(()) < 0.5 else moved


@torch.inference_mode()
def _look(network: nn.Module, images: Tensor) -> Tensor:
    return torch.cat([network(part).flatten() for part in images.split(256)])


def _learn(name: str, network: nn.Module, loss_of: Callable[[Tensor], Tensor], count: int, epochs: int) -> None:
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=0.05)
    rounds = len(shuffled(count, BATCH))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=epochs * rounds)
    network.train()
    for epoch in range(epochs):
        total = 0.0
        for rows in shuffled(count, BATCH):
            loss = loss_of(rows)
            descend(network, optimizer, loss)
            schedule.step()
            total += float(loss.detach())
        print(f"{name} {epoch}: {total / rounds:.4f}", flush=True)
    network.eval()


def _keep(network: nn.Module, path: Path, accuracy: dict[str, Tensor], **card: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rounded = {what: round(float(value), 3) for what, value in accuracy.items()}
    print(path.name, rounded, flush=True)
    save_file(network.state_dict(), path.with_suffix(".safetensors"))
    path.with_suffix(".json").write_text(json.dumps({"accuracy": rounded, **card}))
