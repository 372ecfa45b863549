"""Qwen-Image 2.1, whose folder has a processor of pictures that transformers makes beside torchvision alone."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    AutoencoderKLQwenImage21,
    FlowMatchEulerDiscreteScheduler,
    QwenImage21Pipeline,
    QwenImage21Transformer2DModel,
)
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from diffusers.pipelines.qwenimage21.pipeline_qwenimage21 import calculate_shift
from safetensors.torch import load_file
from torch import Tensor
from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

import tokens
from architectures import PROMPTS, SEEDS, images, sizes
from emu import draws
from emu.adapters import Adapter
from emu.batch import Cond
from emu.formats.single_file import SingleFile
from emu.models import QwenImage21
from emu.outline import Outline
from emu.parts.text_processor import TextProcessor
from flow_pipelines import qwen_eyes, qwen_text
from pipelines import WIDTH

PARTS = ["<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"]
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% for part in message.content %}{{ part.text }}{% endfor %}<|im_end|>\n{% endfor %}"
)
# As published.
SCHEDULE = {"use_dynamic_shifting": True, "base_shift": 0.5, "max_shift": 0.9, "max_image_seq_len": 8192}


def pipeline() -> QwenImage21Pipeline:
    torch.manual_seed(0)
    words = tokens.qwen()
    words.add_special_tokens({"additional_special_tokens": PARTS})
    words.model_max_length = 262144
    text = qwen_text(2, [4, 2, 2]) | {"vocab_size": 1000 + len(PARTS)}
    eyes = qwen_eyes() | {"deepstack_visual_indexes": [0], "num_position_embeddings": 16}
    return QwenImage21Pipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(**SCHEDULE, shift_terminal=0.02),
        vae=AutoencoderKLQwenImage21(
            base_dim=8, decoder_base_dim=12, z_dim=4, dim_mult=[1, 1, 1, 1, 1], num_res_blocks=1,
            latents_mean=[0.1, -0.2, 0.0, 0.3], latents_std=[1.0, 2.0, 0.5, 1.5],
        ),
        text_encoder=Qwen3VLForConditionalGeneration(Qwen3VLConfig(text_config=text, vision_config=eyes)),
        processor=TextProcessor(words, chat_template=CHAT),
        transformer=QwenImage21Transformer2DModel(
            in_channels=4, out_channels=4, num_layers=2, attention_head_dim=16, num_attention_heads=2,
            context_in_dim=WIDTH, mlp_ratio=2, axes_dims_rope=(4, 6, 6),
        ),
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As published: the index names Qwen3VLProcessor, and its folder has the tokenizer and the chat's template."""
    found: Path = tmp_path_factory.mktemp("base") / "qwen"
    pipeline().save_pretrained(found)
    index = found / "model_index.json"
    text = index.read_text().replace('"emu.parts.text_processor"', '"transformers"')
    assert "TextProcessor" in text
    index.write_text(text.replace("TextProcessor", "Qwen3VLProcessor"))
    return found


def make(folder: Path, **settings: Any) -> QwenImage21:
    sampler = {"num_inference_steps": 2} | settings.pop("sampler", {})
    model = QwenImage21(str(folder), resolution=32, sampler=sampler, **settings)
    model.configure_model()
    return model


@pytest.fixture(scope="module")
def model(folder: Path) -> QwenImage21:
    return make(folder)


@torch.no_grad()
def encoded(model: QwenImage21) -> tuple[Tensor, Cond]:
    return model.encode_images(images("qwen_image")), {**model.encode_prompts(PROMPTS), "size": sizes("qwen_image")}


def plainly(folder: Path, model: QwenImage21, number: int, **more: Any) -> Tensor:
    plain = QwenImage21Pipeline.from_pretrained(folder, processor=model.processor)
    plain.set_progress_bar_config(disable=True)
    arguments = {**model.plain_arguments(PROMPTS[number]), "height": 32, "width": 32, "output_type": "pt", **more}
    drawn: Tensor = plain(**arguments, generator=torch.Generator().manual_seed(int(SEEDS[number])))[0][0]
    return drawn[:3] * drawn[3:] + 1 - drawn[3:]


@pytest.mark.parametrize("scale", [1.0, 3.0])
@torch.no_grad()
def test_it_draws_as_the_plain_pipeline_does_and_from_its_export_too(
    folder: Path, tmp_path: Path, scale: float
) -> None:
    model = make(folder, sampler={"true_cfg_scale": scale})
    drawn = model.sample(model.encode_prompts(PROMPTS), model.negative_prompt(), SEEDS)
    assert drawn.shape == (3, 3, 32, 32)
    model.save_pipeline(tmp_path / "exported")
    for where, number in ((folder, 0), (tmp_path / "exported", 1)):
        torch.testing.assert_close(plainly(where, model, number), drawn[number], rtol=0, atol=1e-4)


@torch.no_grad()
def test_its_velocity_is_that_of_the_pipeline_s_loop(model: QwenImage21) -> None:
    """pipeline_qwenimage21.py, its loop without the cache of keys: each prompt alone."""
    x, cond = encoded(model)
    latents = model.latents(x)
    noisy, sigmas = torch.randn(latents.shape), torch.tensor([0.2, 0.5, 0.9])
    _, c, h, w = noisy.shape
    for i, prompt in enumerate(PROMPTS):
        text, mask, places = model.pipeline.encode_prompt([prompt])
        found = model.backbone(
            hidden_states=QwenImage21Pipeline._pack_latents(noisy[i : i + 1], 1, c, h, w),
            timestep=sigmas[i : i + 1] * 1000 / 1000,
            encoder_hidden_states=text,
            encoder_hidden_states_mask=mask,
            img_shapes=[[(1, h, w)]],
            img_mask=torch.cat([places, places.new_ones(1, h * w // 4)], dim=1),
            return_dict=False,
        )[0][:, -h * w :]
        expected = QwenImage21Pipeline._unpack_latents(found, 16 * h, 16 * w, 16)[:, :, 0]
        torch.testing.assert_close(model.velocity(noisy, sigmas, cond)[i : i + 1], expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_loss_is_of_the_velocity_from_picture_to_noise(model: QwenImage21) -> None:
    x, cond = encoded(model)
    seeds = [11, 12, 13]
    with draws.seeded(seeds, torch.device("cpu")):
        loss = model.loss(x, cond)
    with draws.seeded(seeds[:1], torch.device("cpu")):
        alone = model.loss(x[:1], {key: value[:1] for key, value in cond.items()})
    torch.testing.assert_close(loss[:1], alone)
    opaque = torch.cat([images("qwen_image"), torch.ones(3, 1, 32, 32)], dim=1)[:, :, None]
    moments = model.pipeline.vae.encode(opaque).latent_dist.parameters
    torch.testing.assert_close(x, moments[:, :, 0], rtol=1e-4, atol=1e-5)
    vae = model.pipeline.vae.config
    mean, std = (torch.tensor(numbers).view(1, 4, 1, 1) for numbers in (vae.latents_mean, vae.latents_std))
    torch.manual_seed(3)
    expected = (DiagonalGaussianDistribution(x).sample() - mean) / std
    torch.manual_seed(3)
    torch.testing.assert_close(model.latents(x), expected)


def test_noise_levels_move_as_the_pipeline_moves_them(model: QwenImage21) -> None:
    latents = torch.zeros(1, 4, 64, 48)
    assert model.shift(latents) == pytest.approx(math.exp(calculate_shift(64 * 48, 256, 8192, 0.5, 0.9)))
    assert model.size_multiple == 32


def test_a_prompt_s_tokens_are_counted_in_its_template(model: QwenImage21) -> None:
    counts = model.token_counts(["", *PROMPTS])
    text = model.pipeline.encode_prompt([PROMPTS[0]])[0]
    assert counts[1] - model.texts._drop_idx == text.shape[1]
    longest = " ".join(["boat"] * 600)
    assert model.encode_prompts([longest])["prompt_embeds"].shape[1] == model.text_length
    assert model.token_counts([longest])[0] > model.max_tokens


@pytest.mark.parametrize("recomputing", [False, True])
@pytest.mark.parametrize("adapter", [None, Adapter(rank=2)], ids=["all weights", "an adapter"])
def test_it_learns_a_picture(folder: Path, adapter: Adapter | None, recomputing: bool) -> None:
    model = make(folder, adapter=adapter, gradient_checkpointing=recomputing)
    x, cond = encoded(model)
    optimizer = torch.optim.AdamW(model.trained_parameters(), lr=1e-2)
    losses = []
    for _ in range(4):
        with draws.seeded([1, 2, 3], torch.device("cpu")):
            loss = model.loss(x, cond).mean()
        loss.backward()
        assert any(weight.grad is not None for weight in model.trained_parameters())
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


@torch.no_grad()
def test_its_transformer_in_one_file_is_read_again(model: QwenImage21, tmp_path: Path) -> None:
    """Two layers of its feed-forward are one there, as ComfyUI has them."""
    path = tmp_path / "transformer.safetensors"
    SingleFile().check(model, path)
    SingleFile().write(model, path, {})
    assert any(name.endswith("img_mlp.gate_up.weight") for name in load_file(path))
    read = SingleFile().load(model, path).transformer.state_dict()
    weights = model.ema.state_dict()
    assert read.keys() == weights.keys()
    assert all(torch.equal(weights[name], weight) for name, weight in read.items())


@torch.no_grad()
def test_a_plan_knows_it_without_weights(model: QwenImage21) -> None:
    outline = Outline(QwenImage21(str(model.folder), resolution=32))
    assert outline.trained() == sum(weight.numel() for weight in model.backbone.parameters())
    picture, caption = outline.cached(32, 32)
    assert picture == 4 * model.encode_images(torch.zeros(1, 3, 32, 32)).numel()
    assert caption == sum(one.numel() * one.element_size() for one in model.encode_prompts(["a"]).values())


@pytest.fixture
def published(folder: Path, tmp_path: Path) -> Path:
    """With the processor as its own library writes it."""
    pytest.importorskip("torchvision")
    from transformers import Qwen2VLImageProcessor, Qwen3VLProcessor, Qwen3VLVideoProcessor

    words = TextProcessor.from_pretrained(folder / "processor").tokenizer
    whole = Qwen3VLProcessor(Qwen2VLImageProcessor(), words, Qwen3VLVideoProcessor(), chat_template=CHAT)
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
