"""Judges with their published weights against scores that their authors published: runs where the weights are at hand.

EMU_JUDGE_WEIGHTS names a folder with any of these:

    image-reward/ImageReward.pt, image-reward/bert-base-uncased/, image-reward/images/1.webp ... 4.webp
    hps/HPS_v2_compressed.pt, hps/HPS_v2.1_compressed.pt, hps/base/ (CLIP-ViT-H-14-laion2B-s32B-b79K)
    hps/photo.json and hps/SDv1-4/00000.jpg ...: the benchmark's 800 prompts of photos and that model's pictures
    clip-vit-base-patch16/
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from emu.judges.clip import ClipScore
from emu.judges.hps import Hps
from emu.judges.image_reward import ImageReward

# github.com/THUDM/ImageReward, README, "Example Use"
OCEAN = "a painting of an ocean with clouds and birds, day time, low depth field effect"
REWARDS = [0.5811622738838196, 0.2745276093482971, -1.4131819009780884, -2.029569625854492]
# github.com/tgxs002/HPSv2, README, "The HPS benchmark": Stable Diffusion v1.4, Photo
HPS_PHOTO = {"HPS_v2_compressed.pt": 27.27, "HPS_v2.1_compressed.pt": 25.70}
# torchmetrics 1.9, documentation of CLIPScore: 100 cosine, rounded
CAT_IN_NOISE = 24


def at_hand(*names: str) -> list[Path]:
    given = os.environ.get("EMU_JUDGE_WEIGHTS")
    if not given:
        pytest.skip("EMU_JUDGE_WEIGHTS names no folder of published weights")
    paths = [Path(given) / name for name in names]
    if missing := [str(path) for path in paths if not path.exists()]:
        pytest.skip(f"not at hand: {', '.join(missing)}")
    return paths


def picture(path: Path) -> Tensor:
    with Image.open(path) as image:
        return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)[None].float() / 255


def test_image_reward() -> None:
    names = ["ImageReward.pt", "bert-base-uncased", *(f"images/{i}.webp" for i in range(1, 5))]
    weights, tokenizer, *images = at_hand(*(f"image-reward/{name}" for name in names))
    judge = ImageReward(str(weights), str(tokenizer))
    scores = [judge.score(picture(path), [OCEAN]).item() for path in images]
    assert scores == pytest.approx(REWARDS, abs=0.05)  # resized without rounding to 8 bits between


@pytest.mark.parametrize("name", HPS_PHOTO)
def test_hps(name: str) -> None:
    weights, base, prompts, images = at_hand(*(f"hps/{part}" for part in (name, "base", "photo.json", "SDv1-4")))
    judge = Hps(str(weights), str(base))
    asked = json.loads(prompts.read_text())
    scores = [judge.score(picture(images / f"{i:05d}.jpg"), [prompt]).item() for i, prompt in enumerate(asked)]
    assert np.mean(scores) == pytest.approx(HPS_PHOTO[name], abs=0.1)


def test_clip_score() -> None:
    (folder,) = at_hand("clip-vit-base-patch16")
    noise = torch.randint(255, (3, 224, 224), generator=torch.Generator().manual_seed(42))
    score = ClipScore(str(folder)).score(noise[None].float() / 255, ["a photo of a cat"])
    assert round(score.item() / 2.5 * 100) == CAT_IN_NOISE
