"""How far a masked model can get by its tokens: kinds that a reader sees in true pictures passed through them.

python benchmarks/muse_tokens.py [--model emu://bases/muse] [--scenes 240]

Good scenes that no model saw, 32 px. Then the same with a share of the tokens masked and drawn again by the
transformer, in random order: what is lost there is lost by drawing, with layout and everything around it given.
And what captions tell: how surprised the transformer is by tokens hidden from it, given the picture's own caption,
the same with another kind, and none. And which places its attention layers cannot tell apart before anything is drawn.
"""

import argparse
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from emu.judges.world import WorldFaithfulness
from emu.models import Muse, load_model
from emu.models.muse import AESTHETIC_SCORE
from emu.models.reconstruction import psnr
from emu.parts import masked
from emu.world import KINDS, QUALITIES, Scene, World

SIDE, FIRST = 32, 100_000  # pixels; a place in the haystack beyond what the bases learned from
SHARES = (0.2, 0.5)
HIDDEN = (1.0, 0.7, 0.2)
GUIDANCE = 2.0  # as muse/tiny draws
SAME = 1e-4  # of what places differ by: rounding alone
MICRO = torch.tensor([[SIDE, SIDE, 0, 0, AESTHETIC_SCORE]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="emu://bases/muse")
    parser.add_argument("--scenes", type=int, default=240)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    scenes = good_scenes(options.scenes)
    true = rendered(scenes, SIDE)
    model = load_model(options.model)
    assert isinstance(model, Muse)
    with torch.no_grad():
        tokens = torch.cat([model.encode_images(some * 2 - 1) for some in true.split(60)])
        own = [scene.caption for scene in scenes]
        swapped = [scene.caption.replace(scene.kind, other_than(scene.kind)) for scene in scenes]
        for share in HIDDEN:
            by = {
                what: surprise(model, tokens, texts, share)
                for what, texts in {"the caption": own, "another kind": swapped, "no caption": [""]}.items()
            }
            print(f"{share:.0%} hidden, nats a token:", ", ".join(f"{nats:.3f} by {what}" for what, nats in by.items()))
        blind = alike(model, tokens)
        print(f"all hidden: {len(blind)} of {tokens[0].numel()} places are alike to another before attention: {blind}")
        given = masked.pixels(model.pipeline.vqvae, tokens)
        used = len(tokens.unique())
        print(f"true: kinds {kinds(scenes, true):.1f} %; {tokens[0].numel()} tokens of {used} codes used")
        print(f"through the tokens: {kinds(scenes, given):.1f} %, PSNR {psnr(given, true).mean():.1f} dB")
        for share in SHARES:
            again = masked.pixels(model.pipeline.vqvae, redrawn(model, tokens, scenes, share))
            print(f"{share:.0%} of them drawn again: {kinds(scenes, again):.1f} %")


def good_scenes(count: int) -> list[Scene]:
    """Of the haystack, beyond what the bases learned from, and made good."""
    good = (True,) * len(QUALITIES)
    return [replace(World(0).haystack(FIRST + i), good=good) for i in range(count)]


def rendered(scenes: list[Scene], side: int) -> Tensor:
    """float (b,3,side,side) in [0,1]"""
    drawn = torch.from_numpy(np.stack([np.asarray(scene.render()) for scene in scenes])).permute(0, 3, 1, 2) / 255
    return F.interpolate(drawn, size=(side, side), mode="area")


def kinds(scenes: list[Scene], images: Tensor) -> float:
    """The percentage of pictures in which the reader sees the scene's kind."""
    read = WorldFaithfulness().read(images)
    return 100 * float(np.mean([one["kind"] == scene.kind for one, scene in zip(read, scenes, strict=True)]))


def other_than(kind: str) -> str:
    return KINDS[(KINDS.index(kind) + 1) % len(KINDS)]


def surprise(model: Muse, tokens: Tensor, captions: list[str], share: float) -> float:
    """Cross-entropy of the tokens where a share is hidden, the same ones whatever the captions are."""
    mask = model.pipeline.scheduler.config.mask_token_id
    hidden = torch.rand(tokens.shape, generator=torch.Generator().manual_seed(0)) < share
    cond = {key: value.expand(len(tokens), *value.shape[1:]) for key, value in model.encode_prompts(captions).items()}
    logits = model._logits(model.ema, torch.where(hidden, mask, tokens), cond, MICRO)
    return float(F.cross_entropy(logits, tokens, reduction="none")[hidden].mean())


def alike(model: Muse, tokens: Tensor) -> list[tuple[int, int]]:
    """Row and column of the places that look like another where all is masked, as they come to the attention layers."""
    seen: list[Tensor] = []
    network: Any = model.ema
    hook = network.project_to_hidden.register_forward_hook(lambda _, __, output: seen.append(output[0]))
    hidden = torch.full_like(tokens[:1], model.pipeline.scheduler.config.mask_token_id)
    model._logits(network, hidden, model.encode_prompts([""]), MICRO)
    hook.remove()
    distance = (seen[0][:, None] - seen[0]).norm(dim=2).fill_diagonal_(torch.inf)
    side = round(len(distance) ** 0.5)  # of the grid that attention has, halved where the network halves it
    near = (distance < SAME * seen[0].std(0).norm()).any(1)
    return [divmod(int(place), side) for place in near.nonzero()]


def redrawn(model: Muse, tokens: Tensor, scenes: list[Scene], share: float, *, steps: int = 12) -> Tensor:
    """A share of the tokens masked, then drawn from what the model expects, an equal part of them at each step."""
    mask = model.pipeline.scheduler.config.mask_token_id
    cond, negative = model.encode_prompts([scene.caption for scene in scenes]), model.encode_prompts([""])
    both = {key: torch.cat([negative[key].expand_as(cond[key]), cond[key]]) for key in negative}
    now = torch.where(torch.rand(tokens.shape) < share, mask, tokens)
    for left in range(max(1, round(steps * share)), 0, -1):
        odds = model._guided(now, both, MICRO, GUIDANCE).softmax(1).permute(0, 2, 3, 1)
        chosen = torch.multinomial(odds.flatten(0, 2), 1).view_as(now)
        now = torch.where((now == mask) & (torch.rand(now.shape) < 1 / left), chosen, now)
    return now


if __name__ == "__main__":
    main()
