"""What is Qwen-Image 2.1's own: a processor that transformers makes beside torchvision alone, opacity, a template."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import QwenImage21Pipeline
from torch import Tensor

from architectures import PROMPTS, SEEDS, images, make
from emu.drawn import on_white
from emu.models import QwenImage21
from emu.parts.text_processor import TextProcessor
from tokens import PARTS_CHAT

Folder = Callable[[str], Path]


@pytest.fixture(scope="module")
def folder(tiny_folder: Folder) -> Path:
    """As published: the index names Qwen3VLProcessor, and its folder has the tokenizer and the chat's template."""
    found = tiny_folder("qwen_image_21")
    index = json.loads((found / "model_index.json").read_text())
    assert index["processor"] == ["transformers", "Qwen3VLProcessor"]
    return found


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return make("qwen_image_21", folder)


def plainly(folder: Path, model: QwenImage21, number: int) -> Tensor:
    plain = QwenImage21Pipeline.from_pretrained(folder, processor=model.processor)
    plain.set_progress_bar_config(disable=True)
    arguments = {**model.plain_arguments(PROMPTS[number]), "height": 32, "width": 32, "output_type": "pt"}
    drawn: Tensor = plain(**arguments, generator=torch.Generator().manual_seed(int(SEEDS[number])))[0]
    return on_white(drawn)[0]


@pytest.mark.parametrize("scale", [1.0, 3.0])
@torch.no_grad()
def test_it_draws_as_the_plain_pipeline_does_and_from_its_export_too(
    folder: Path, tmp_path: Path, scale: float
) -> None:
    model: Any = make("qwen_image_21", folder, sampler={"true_cfg_scale": scale})
    drawn = model.sample(model.encode_prompts(PROMPTS), model.negative_prompt(), SEEDS)
    assert drawn.shape == (3, 3, 32, 32)
    model.save_pipeline(tmp_path / "exported")
    for where, number in ((folder, 0), (tmp_path / "exported", 1)):
        torch.testing.assert_close(plainly(where, model, number), drawn[number], rtol=0, atol=1e-4)
    assert (tmp_path / "exported" / "model_index.json").read_bytes() == (folder / "model_index.json").read_bytes()


@torch.no_grad()
def test_pictures_are_encoded_as_opaque_ones(model: Any) -> None:
    found = model.encode_images(images("qwen_image_21"))
    opaque = torch.cat([images("qwen_image_21"), torch.ones(3, 1, 32, 32)], dim=1)[:, :, None]
    moments = model.pipeline.vae.encode(opaque).latent_dist.parameters
    torch.testing.assert_close(found, moments[:, :, 0], rtol=1e-4, atol=1e-5)


def test_a_prompt_s_tokens_are_counted_in_its_template(model: Any) -> None:
    counts = model.token_counts(["", *PROMPTS])
    text = model.pipeline.encode_prompt([PROMPTS[0]])[0]
    assert counts[1] - model.texts._drop_idx == text.shape[1]
    longest = " ".join(["boat"] * 600)
    assert model.encode_prompts([longest])["prompt_embeds"].shape[1] == model.text_length
    assert model.token_counts([longest])[0] > model.max_tokens
    assert model.size_multiple == 32


@pytest.fixture
def published(folder: Path, tmp_path: Path) -> Path:
    """With the processor as its own library writes it."""
    pytest.importorskip("torchvision")
    from transformers import Qwen2VLImageProcessor, Qwen3VLProcessor, Qwen3VLVideoProcessor

    words = TextProcessor.from_pretrained(folder / "processor").tokenizer
    whole = Qwen3VLProcessor(Qwen2VLImageProcessor(), words, Qwen3VLVideoProcessor(), chat_template=PARTS_CHAT)
    whole.save_pretrained(tmp_path / "processor")
    return tmp_path / "processor"


def test_texts_are_read_as_the_whole_processor_reads_them(published: Path) -> None:
    from transformers import AutoProcessor

    whole, ours = AutoProcessor.from_pretrained(published), TextProcessor.from_pretrained(published)
    assert type(whole).__name__ == "Qwen3VLProcessor"
    named: Callable[..., Any] = dict
    given = named(text=["a red boat", "no"], padding=True, padding_side="left", return_tensors="pt")
    for key, value in ours(**given).items():
        assert torch.equal(whole(**given)[key], value)
    chat = [{"role": "system", "content": [{"type": "text", "text": "Look."}]}]
    said = [one.apply_chat_template(chat, tokenize=True, return_dict=False) for one in (whole, ours)]
    assert said[0] == said[1]
