"""HPS v2 and ImageReward from tiny files of their published layouts, against the models by hand and open_clip's own."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoTokenizer, CLIPConfig

from embedders import SIDE, TOKENS
from emu.errors import UserError
from emu.judges import Judge, judge_card
from emu.judges.hps import Hps
from emu.judges.image_reward import MEAN, STD, ImageReward
from judges_pictures import pictures, tensor
from published import (
    image_reward_checkpoint,
    open_clip_checkpoint,
    open_clip_image,
    open_clip_text,
    reward_by_hand,
    save_bert_tokenizer,
)

PROMPTS = ["a red boat at noon", "a blue bird in the snow", "two green hills", ""]


@pytest.fixture
def hps(clip_folder: Path, tmp_path: Path) -> tuple[Hps, dict[str, Tensor]]:
    words = CLIPConfig.from_pretrained(clip_folder).text_config.vocab_size
    held = open_clip_checkpoint(words, width=16)
    torch.save(held, tmp_path / "HPS.pt")
    return Hps(str(tmp_path / "HPS.pt"), str(clip_folder)), held["state_dict"]


@pytest.fixture
def image_reward(tmp_path: Path) -> tuple[ImageReward, dict[str, Tensor]]:
    tensors = image_reward_checkpoint()
    torch.save(tensors, tmp_path / "ImageReward.pt")
    return ImageReward(str(tmp_path / "ImageReward.pt"), str(save_bert_tokenizer(tmp_path / "bert"))), tensors


@torch.inference_mode()
def test_hps_is_a_hundred_times_the_cosine_of_the_model_by_hand(hps: tuple[Hps, dict[str, Tensor]]) -> None:
    judge, tensors = hps
    images, tokenizer = tensor(pictures(40, 32)), judge.embedder.tokenizer
    wanted = []
    for image, prompt in zip(images, PROMPTS, strict=True):
        ids = tokenizer(prompt, padding="max_length", max_length=TOKENS, truncation=True, return_tensors="pt").input_ids
        seen = open_clip_image(tensors, judge.embedder.preprocessing(image[None]))
        wanted.append(100 * seen @ open_clip_text(tensors, ids[0], tokenizer.eos_token_id))
    scores = judge.score(images, PROMPTS)
    torch.testing.assert_close(scores, torch.stack(wanted), rtol=1e-4, atol=1e-3)
    assert scores.std() > 0.5


@torch.inference_mode()
def test_hps_is_what_open_clip_says(hps: tuple[Hps, dict[str, Tensor]]) -> None:
    open_clip = pytest.importorskip("open_clip", reason="open_clip is not installed: the model by hand stands for it")
    judge, tensors = hps
    body = {"width": 32, "layers": 2, "mlp_ratio": 1.0}
    text = {**body, "heads": 2, "context_length": TOKENS, "vocab_size": len(tensors["token_embedding.weight"])}
    text |= {"pool_type": "eos", "eos_id": judge.embedder.tokenizer.eos_token_id}
    sight = {**body, "head_width": 16, "image_size": SIDE, "patch_size": 8}
    model = open_clip.CLIP(16, sight, text, quick_gelu=True).eval()
    model.load_state_dict(tensors)
    images = tensor(pictures(40, 32))
    given = {"padding": "max_length", "max_length": TOKENS, "truncation": True, "return_tensors": "pt"}
    tokens = judge.embedder.tokenizer(PROMPTS, **given).input_ids
    seen, read = model.encode_image(judge.embedder.preprocessing(images), True), model.encode_text(tokens, True)
    torch.testing.assert_close(judge.score(images, PROMPTS), 100 * (seen * read).sum(1), rtol=1e-4, atol=1e-3)


@torch.inference_mode()
def test_image_reward_is_the_model_by_hand(image_reward: tuple[ImageReward, dict[str, Tensor]]) -> None:
    judge, tensors = image_reward
    images, tokenizer = tensor(pictures(40, 32)), AutoTokenizer.from_pretrained(judge.words.name)
    wanted = []
    for image, prompt in zip(images, PROMPTS, strict=True):
        words = tokenizer(prompt, padding="max_length", max_length=35, truncation=True, return_tensors="pt")
        raw = reward_by_hand(tensors, judge.preprocessing(image[None]), words.input_ids, words.attention_mask)
        wanted.append((raw - MEAN) / STD)
    scores = judge.score(images, PROMPTS)
    torch.testing.assert_close(scores, torch.stack(wanted), rtol=1e-4, atol=1e-4)
    assert scores.std() > 1e-3
    assert str(judge.preprocessing).startswith("antialiased bicubic to shortest side 24, middle 24 x 24, mean (0.4815")


@pytest.mark.parametrize("name", ["hps", "image_reward"])
def test_batch_order_and_seed(name: str, request: pytest.FixtureRequest) -> None:
    judge: Judge = request.getfixturevalue(name)[0]
    images = tensor(pictures(40, 32))
    state = torch.get_rng_state()
    together = judge.score(images, PROMPTS)
    assert torch.equal(torch.get_rng_state(), state)
    alone = [judge.score(images[i : i + 1], PROMPTS[i : i + 1]) for i in (3, 2, 1, 0)]
    assert torch.equal(together, torch.cat(alone[::-1]))
    assert {"name", "family", "tie", "sha256", "preprocessing", "versions", "score"} <= judge_card(judge).keys()


def test_files_of_another_layout_are_named(clip_folder: Path, tmp_path: Path) -> None:
    image = tensor(pictures(SIDE, SIDE, count=1))
    other = open_clip_checkpoint(17, width=16)
    torch.save(other, tmp_path / "other.pt")
    with pytest.raises(
        UserError, match=r"other\.pt for .*: 1 weight does not fit, such as .*token_embedding.*\(17, 32\)"
    ):
        Hps(str(tmp_path / "other.pt"), str(clip_folder)).score(image, [""])
    torch.save(other["state_dict"], tmp_path / "bare.pt")
    with pytest.raises(UserError, match=r"bare\.pt: no state_dict in it"):
        Hps(str(tmp_path / "bare.pt"), str(clip_folder)).score(image, [""])
    for name in ("bare.pt", "other.pt"):
        with pytest.raises(UserError, match=rf"{name}: not the layout of ImageReward.pt"):
            ImageReward(str(tmp_path / name)).score(image, [""])
    tensors = image_reward_checkpoint()
    del tensors["blip.visual_encoder.norm.bias"]
    torch.save(tensors, tmp_path / "short.pt")
    with pytest.raises(UserError, match=r"short\.pt: 1 weight does not fit, such as post_layernorm.bias: absent"):
        ImageReward(str(tmp_path / "short.pt")).score(image, [""])


def test_a_tokenizer_that_is_not_there_is_named(image_reward: tuple[ImageReward, dict[str, Tensor]]) -> None:
    judge = ImageReward(str(image_reward[0].file.path), "nowhere/at/all")
    with pytest.raises(UserError, match="judge's tokenizer nowhere/at/all: .*; name a folder of BERT's"):
        judge.score(tensor(pictures(SIDE, SIDE, count=1)), [""])
