"""VQAScore on a tiny Llava of the real classes, against the first step of the model's own generation."""

import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from embedders import save_vlm
from emu.errors import UserError
from emu.judges import judge_card
from emu.judges.vqa import QUESTION, VqaScore
from judges_pictures import pictures, tensor

PROMPTS = ["a red boat at noon", "a blue bird in the snow", "two green hills", ""]


@pytest.fixture(scope="module")
def vlm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_vlm(tmp_path_factory.mktemp("vlm"))


@torch.inference_mode()
def test_it_is_the_chance_that_the_model_says_yes_first(vlm_folder: Path) -> None:
    images = pictures(40, 32)
    scores = VqaScore(str(vlm_folder)).score(tensor(images), PROMPTS)
    processor = AutoProcessor.from_pretrained(vlm_folder)
    model = AutoModelForImageTextToText.from_pretrained(vlm_folder).eval()
    wanted = []
    for image, prompt in zip(images, PROMPTS, strict=True):
        asked = QUESTION.format(prompt)
        given = processor(text=[f"USER: <image> {asked} ASSISTANT:"], images=[image], return_tensors="pt")
        drawn = model.generate(
            **given, max_new_tokens=1, do_sample=False, output_logits=True, return_dict_in_generate=True, pad_token_id=0
        )
        wanted.append(drawn.logits[0][0].softmax(0)[processor.tokenizer.convert_tokens_to_ids("Yes")])
    torch.testing.assert_close(scores, torch.stack(wanted), rtol=1e-4, atol=1e-7)
    assert len(set(scores.tolist())) == 4


def test_batch_order_and_card(vlm_folder: Path) -> None:
    judge, images = VqaScore(str(vlm_folder)), tensor(pictures(40, 32))
    together = judge.score(images, PROMPTS)
    alone = [judge.score(images[i : i + 1], PROMPTS[i : i + 1]) for i in (3, 2, 1, 0)]
    assert torch.equal(together, torch.cat(alone[::-1]))
    card = judge_card(judge)
    assert {"sha256", "preprocessing", "versions", "tie", "score", "precision"} <= card.keys()
    assert (card["name"], card["family"]) == ("vqa-score", "vlm")


def test_a_prompt_is_text_and_nothing_else(vlm_folder: Path) -> None:
    judge, image = VqaScore(str(vlm_folder)), tensor(pictures(40, 32, count=1))
    for prompt in ("a <image>boat", "a <im<image>age>boat", "a <<pad>image>boat"):
        assert torch.equal(judge.score(image, [prompt]), judge.score(image, ["a boat"]))


def test_what_cannot_be_asked_is_named(vlm_folder: Path, clip_folder: Path) -> None:
    image = tensor(pictures(24, 24, count=1))
    with pytest.raises(UserError, match=r"judge's model .*; name a model that takes pictures and text"):
        VqaScore("nowhere/at/all").score(image, [""])
    with pytest.raises(UserError, match=r"judge's model .*clip.*; name a model that takes pictures and text"):
        VqaScore(str(clip_folder)).score(image, [""])
    with pytest.raises(UserError, match="weights have sha256 .*, not 00000000 as asked for"):
        VqaScore(str(vlm_folder), sha256="00000000").score(image, [""])


def test_a_model_without_a_chat_template_is_named(vlm_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(vlm_folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "chat_template.jinja").unlink()
    with pytest.raises(UserError, match="has no chat template; name one that answers questions"):
        VqaScore(str(tmp_path)).score(tensor(pictures(24, 24, count=1)), [""])
