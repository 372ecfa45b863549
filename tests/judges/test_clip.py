"""ClipScore against transformers' own processor and model, and the laws of every judge."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoImageProcessor, AutoModel, AutoProcessor

from embedders import SIDE, TOKENS
from emu.errors import UserError
from emu.judges import judge_card
from emu.judges.clip import ClipScore
from emu.statistics import win_rate
from judges_pictures import pictures, tensor

PROMPTS = ["a red boat at noon", "a blue bird in the snow", " ".join(["two green hills"] * 40), ""]


@pytest.fixture(params=["clip_folder", "siglip_folder"])
def folder(request: pytest.FixtureRequest) -> Path:
    path: Path = request.getfixturevalue(request.param)
    return path


@torch.inference_mode()
def by_hand(folder: Path, images: list[Image.Image], prompts: list[str]) -> Tensor:
    """Every picture against every prompt, (pictures, prompts), in one forward pass of transformers' own."""
    given = AutoProcessor.from_pretrained(folder)(
        text=prompts, images=images, padding="max_length", truncation=True, max_length=TOKENS, return_tensors="pt"
    )
    model = AutoModel.from_pretrained(folder).eval()
    out = model(input_ids=given["input_ids"], pixel_values=given["pixel_values"])
    scores = 2.5 * (out.image_embeds @ out.text_embeds.T).clamp(min=0)
    assert scores.min() == 0 < scores.max()  # so that the clipping is seen
    return scores


def test_equals_transformers(folder: Path) -> None:
    images, judge = pictures(SIDE, SIDE), ClipScore(str(folder))
    scores = torch.stack([judge.score(tensor(images), [prompt] * 4) for prompt in PROMPTS], dim=1)
    torch.testing.assert_close(scores, by_hand(folder, images, PROMPTS), rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [(24, 24), (64, 64), (97, 50), (41, 60), (12, 20)], ids=str)
def test_pictures_are_prepared_as_by_the_processor_up_to_its_rounding(folder: Path, size: tuple[int, int]) -> None:
    images, processor = pictures(*size), AutoImageProcessor.from_pretrained(folder)
    theirs = processor(images, return_tensors="pt")["pixel_values"]
    ours = ClipScore(str(folder)).embedder.preprocessing(tensor(images))
    levels = (ours - theirs) * torch.tensor(processor.image_std).view(3, 1, 1) * 255
    assert levels.abs().mean() < 0.5  # 0.3 in fact; 3.5 and more with another filter


def test_a_score_does_not_depend_on_its_batch(folder: Path) -> None:
    judge, images = ClipScore(str(folder)), tensor(pictures(40, 32))
    together = judge.score(images, PROMPTS)
    alone = [judge.score(images[i : i + 1], PROMPTS[i : i + 1]) for i in range(4)]
    assert torch.equal(together, torch.cat(alone))
    assert together.shape == (4,)


def test_identical_pictures_only_tie(folder: Path) -> None:
    images = tensor(pictures(40, 32))
    before, after = (ClipScore(str(folder)).score(images, PROMPTS).tolist() for _ in range(2))
    assert before == after
    assert win_rate(before, after, tie=ClipScore.tie).tie == 100


def test_a_caption_is_cut_at_the_models_length(folder: Path) -> None:
    judge, image = ClipScore(str(folder)), tensor(pictures(SIDE, SIDE, count=1))
    long = " ".join(["two green hills"] * 40)
    assert torch.equal(judge.score(image, [long]), judge.score(image, [long + " and a red boat"]))
    assert judge.describe()["text"] == f"the prompt as it is, cut at {TOKENS} tokens"


def test_nothing_is_loaded_before_it_is_asked() -> None:
    with pytest.raises(UserError, match="judge's model nowhere/at/all: .*; name a folder or hub name of CLIP"):
        ClipScore("nowhere/at/all").score(torch.zeros(1, 3, 8, 8), ["a boat"])


def test_a_model_of_another_kind_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(UserError, match="a bert; name a CLIP or a SigLIP"):
        ClipScore(str(tmp_path)).score(torch.zeros(1, 3, 8, 8), ["a boat"])


def test_its_card_names_what_a_verdict_rests_on(clip_folder: Path, siglip_folder: Path, tmp_path: Path) -> None:
    card = judge_card(ClipScore(str(clip_folder)))
    assert str(card["preprocessing"]).startswith(
        "antialiased bicubic to shortest side 24, middle 24 x 24, mean (0.4815"
    )
    other = judge_card(ClipScore(str(siglip_folder)))
    assert str(other["preprocessing"]).startswith("antialiased bilinear to 24 x 24, mean (0.5")
    copy = tmp_path / "copy"
    shutil.copytree(clip_folder, copy)
    assert judge_card(ClipScore(str(copy)))["sha256"] == card["sha256"]
    weights = load_file(copy / "model.safetensors")
    weights["logit_scale"] += 1
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    assert judge_card(ClipScore(str(copy)))["sha256"] != card["sha256"]


def changed(folder: Path, out: Path, **settings: object) -> Path:
    """A copy whose processor has other settings."""
    shutil.copytree(folder, out)
    described = out / "preprocessor_config.json"
    described.write_text(json.dumps(json.loads(described.read_text()) | settings))
    return out


def test_a_processor_that_does_not_normalise_is_followed(clip_folder: Path, tmp_path: Path) -> None:
    plain, images = changed(clip_folder, tmp_path / "plain", do_normalize=False), pictures(SIDE, SIDE)
    theirs = AutoImageProcessor.from_pretrained(plain)(images, return_tensors="pt")["pixel_values"]
    ours = ClipScore(str(plain)).embedder.preprocessing(tensor(images))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1 / 255)


def test_a_filter_that_torch_does_not_have_is_named(clip_folder: Path, tmp_path: Path) -> None:
    judge = ClipScore(str(changed(clip_folder, tmp_path / "clip", resample=1)))
    with pytest.raises(UserError, match=r"judge's model .*: resizes by Pillow's filter 1; .* 2 \(bilinear\) or 3"):
        judge.score(tensor(pictures(SIDE, SIDE, count=1)), [""])
