"""Muse's second stage: it reads the small picture, draws any shape, rises in guidance, and follows the first one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from architectures import PROMPTS, SEEDS, encoded, make, prompts
from emu.errors import UserError
from emu.exporting.cascade import ship
from emu.exporting.draw import draw
from emu.models import MuseUpscaling
from emu.models.upscaling import made_small
from emu.parts import masked
from emu.parts.token_upscaler import TokenUpscalingPipeline
from emu.sampling.sample import Stage
from pipelines import CODES, token_autoencoder

Folder = Callable[[str], Path]

STEPS = 120


@pytest.fixture
def model(tiny_folder: Folder) -> Any:
    return make("muse_upscaling", tiny_folder("muse_upscaling"), optimizer=torch.optim.AdamW)


def test_each_token_lies_above_the_one_that_the_small_picture_has_there(model: Any) -> None:
    images = torch.rand(2, 3, 16, 32) * 2 - 1
    x = model.encode_images(images)
    assert x.shape == (2, 2, 8, 16)
    small = masked.tokens_of(model.pipeline.low_vqvae, made_small(images, 4))
    assert torch.equal(x[:, 1], F.interpolate(small[:, None].float(), scale_factor=4)[:, 0].long())
    assert torch.equal(x[:, 0], masked.tokens_of(model.pipeline.vqvae, images))


def test_it_learns_to_read_the_small_picture(model: Any) -> None:
    optimizer = torch.optim.AdamW(model.backbone.parameters(), lr=3e-3)
    cond = {key: value.expand(16, *value.shape[1:]) for key, value in model.encode_prompts([""]).items()}
    torch.manual_seed(0)
    for _ in range(STEPS):
        loss = model.loss(pictures_of_their_small_ones(16), cond).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    x = pictures_of_their_small_ones(16)
    with torch.no_grad():  # all hidden: what is right was read off the small picture, each token's own place of it
        logits = model.call_backbone(torch.full_like(x[:, 0], CODES), cond["prompt_embeds"], x[:, 1, ::4, ::4])
    assert (logits.argmax(1) == x[:, 0]).float().mean() > 0.9


def pictures_of_their_small_ones(count: int) -> torch.Tensor:
    """New ones each time, whose tokens follow from those beneath: int64 (b,2,8,8)."""
    low = torch.randint(CODES, (count, 2, 2)).repeat_interleave(4, 1).repeat_interleave(4, 2)
    return torch.stack([(low + 5) % CODES, low], dim=1)


def test_pictures_do_not_depend_on_their_batch_and_need_not_be_square(model: Any) -> None:
    cond, away = prompts(model), model.negative_prompt()
    cond["image"] = torch.rand(3, 3, 4, 8) * 2 - 1
    together = model.sample(cond, away, SEEDS)
    assert together.shape == (3, 3, 16, 32)
    for i, seed in enumerate(SEEDS):
        alone = model.sample({key: value[i : i + 1] for key, value in cond.items()}, away, [seed])
        torch.testing.assert_close(alone[0], together[i], rtol=0, atol=1e-5)


def test_recomputing_layers_changes_no_gradient(model: Any) -> None:
    x, cond = encoded(model, "muse_upscaling")

    def gradient(*, again: bool) -> list[torch.Tensor]:
        model.backbone.zero_grad()
        (model.backbone.enable_gradient_checkpointing if again else model.backbone.disable_gradient_checkpointing)()
        torch.manual_seed(0)
        model.loss(x, cond).sum().backward()
        return [parameter.grad.clone() for parameter in model.backbone.parameters()]

    torch.testing.assert_close(gradient(again=True), gradient(again=False), rtol=0, atol=0)


def test_the_plain_pipeline_draws_by_words_and_a_picture(tiny_folder: Folder, model: Any) -> None:
    plain: Any = TokenUpscalingPipeline.from_pretrained(tiny_folder("muse_upscaling"))
    plain.set_progress_bar_config(disable=True)
    start = Image.effect_mandelbrot((4, 4), (-2, -1.5, 1, 1.5), 50).convert("RGB")
    settings = {"num_inference_steps": 3, "guidance_scale": 4.0, "guidance_scale_start": 1.0}
    drawn = plain(PROMPTS, [start] * 3, generator=[torch.Generator().manual_seed(n) for n in SEEDS], **settings).images
    assert [picture.size for picture in drawn] == [(16, 16)] * 3
    model.sampler = settings
    cond = model.encode_prompts(PROMPTS)
    cond["image"] = torch.from_numpy(np.array(start)).permute(2, 0, 1)[None].expand(3, -1, -1, -1) / 127.5 - 1
    ours = model.sample(cond, model.negative_prompt(), SEEDS)
    for picture, one in zip(drawn, ours, strict=True):
        assert np.abs(np.array(picture).astype(float) - 255 * one.permute(1, 2, 0).numpy()).max() < 1


@pytest.mark.parametrize("held", [("transformer",), ("transformer", "text_encoder")])
def test_the_plain_pipeline_draws_in_bfloat16_beside_autoencoders_in_float32(
    held: tuple[str, ...], tiny_folder: Folder
) -> None:
    plain: Any = TokenUpscalingPipeline.from_pretrained(tiny_folder("muse_upscaling"))
    plain.set_progress_bar_config(disable=True)
    for name in held:
        getattr(plain, name).to(torch.bfloat16)
    start = Image.effect_mandelbrot((4, 4), (-2, -1.5, 1, 1.5), 50).convert("RGB")
    drawn = plain(PROMPTS[0], start, generator=torch.Generator().manual_seed(0), num_inference_steps=2).images[0]
    assert drawn.size == (16, 16)
    assert np.asarray(drawn).std() > 0


def test_sizes_that_tokens_do_not_fill_are_refused(tiny_folder: Folder, tmp_path: Path, model: Any) -> None:
    with pytest.raises(UserError, match="starts from pictures whose sides are multiples of 2 pixels, not 3x4"):
        model.enlarged(3, 4)
    parts = TokenUpscalingPipeline.from_pretrained(tiny_folder("muse_upscaling")).components
    coarse = token_autoencoder(levels=3)
    TokenUpscalingPipeline(**{**parts, "vqvae": coarse}, factor=3).save_pretrained(tmp_path / "uneven")
    uneven = MuseUpscaling(str(tmp_path / "uneven"))
    with pytest.raises(UserError, match="a token of 2 pixels is 6, which tokens of 4 pixels do not fill evenly"):
        uneven.configure_model()


def test_what_is_shipped_behind_a_first_stage_draws_by_its_own_script(tiny_folder: Folder, tmp_path: Path) -> None:
    quick = {"num_inference_steps": 2}
    stages = [Stage(str(tiny_folder("muse")), quick), Stage(str(tiny_folder("muse_upscaling")), quick)]
    assert ship(stages, tmp_path / "out") <= 1
    entries = json.loads((tmp_path / "out" / "stages.json").read_text())
    assert [one["pipeline"] for one in entries] == [None, "emu.parts.token_upscaler.TokenUpscalingPipeline"]
    assert draw("a red boat", folder=tmp_path / "out").size == (64, 64)
