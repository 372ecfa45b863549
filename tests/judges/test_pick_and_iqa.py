"""PickScore and CLIP-IQA against what transformers' own model says of pictures and texts."""

import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoModel, AutoProcessor

from embedders import SIDE, TOKENS
from emu.errors import UserError
from emu.judges import Judge, judge_card
from emu.judges.clip_iqa import ClipIqa
from emu.judges.pick import PickScore
from judges_pictures import pictures, tensor

PROMPTS = ["a red boat at noon", "a blue bird in the snow", "two green hills", ""]


@torch.inference_mode()
def logits(folder: Path, texts: list[str]) -> Tensor:
    """transformers' `logits_per_image`: (pictures, texts), scaled."""
    given = AutoProcessor.from_pretrained(folder)(
        text=texts, images=pictures(SIDE, SIDE), padding="max_length", truncation=True, max_length=TOKENS,
        return_tensors="pt",
    )  # fmt: skip
    model = AutoModel.from_pretrained(folder).eval()
    told: Tensor = model(input_ids=given["input_ids"], pixel_values=given["pixel_values"]).logits_per_image
    return told


def test_pick_score_is_the_scaled_cosine(clip_folder: Path) -> None:
    scores = PickScore(str(clip_folder), str(clip_folder)).score(tensor(pictures(SIDE, SIDE)), PROMPTS)
    torch.testing.assert_close(scores, logits(clip_folder, PROMPTS).diagonal(), rtol=1e-5, atol=1e-4)


def test_clip_iqa_is_the_share_of_praise(clip_folder: Path) -> None:
    scores = ClipIqa(model=str(clip_folder)).score(tensor(pictures(SIDE, SIDE)), PROMPTS)
    wanted = logits(clip_folder, ["Good photo.", "Bad photo."]).softmax(1)[:, 0]
    torch.testing.assert_close(scores, wanted, rtol=1e-5, atol=1e-5)
    assert torch.equal(scores, ClipIqa(model=str(clip_folder)).score(tensor(pictures(SIDE, SIDE)), PROMPTS[::-1]))
    turned = ClipIqa("Bad photo.", "Good photo.", str(clip_folder)).score(tensor(pictures(SIDE, SIDE)), PROMPTS)
    torch.testing.assert_close(turned, 1 - scores, rtol=1e-5, atol=1e-6)


def test_the_processor_may_lie_elsewhere(clip_folder: Path, tmp_path: Path) -> None:
    alone = tmp_path / "model"
    alone.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(clip_folder / name, alone / name)
    images = tensor(pictures(SIDE, SIDE))
    found = PickScore(str(alone), str(clip_folder)).score(images, PROMPTS)
    assert torch.equal(found, PickScore(str(clip_folder), str(clip_folder)).score(images, PROMPTS))
    with pytest.raises(UserError, match=f"judge's model {tmp_path / 'gone'}"):
        PickScore(str(alone), str(tmp_path / "gone")).score(images, PROMPTS)


@pytest.mark.parametrize("make", [lambda folder: PickScore(folder, folder), lambda folder: ClipIqa(model=folder)])
def test_a_score_does_not_depend_on_its_batch_and_is_described(clip_folder: Path, make: object) -> None:
    judge: Judge = make(str(clip_folder))  # type: ignore[operator]
    images = tensor(pictures(40, 32))
    together = judge.score(images, PROMPTS)
    assert torch.equal(together, torch.cat([judge.score(images[i : i + 1], PROMPTS[i : i + 1]) for i in range(4)]))
    assert {"name", "tie", "sha256", "preprocessing", "versions", "score"} <= judge_card(judge).keys()
