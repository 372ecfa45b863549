"""What makes small pictures larger: it learns from small copies of pictures, and draws from those of its prompts."""

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from PIL import Image
from torch.nn import functional as F

import pipelines
from architectures import PROMPTS, SEEDS, START, encoded, images, loader, make, prompt_batch, trainer, training_batch
from emu import starts
from emu.data.prompts import load_prompts, prompt_batches
from emu.errors import UserError
from emu.models import PixelUpscaling, load_model
from emu.models.upscaling import cropped
from emu.module.settings import draw, require_drawable
from emu.objectives import draws
from emu.untrained import new

UNTRAINED = Path(__file__).parents[2] / "configs" / "new" / "upscaling-tiny.yaml"
Folder = Callable[[str], Path]


@pytest.fixture
def model(tiny_folder: Folder) -> Any:
    return make("upscaling", tiny_folder("upscaling"), noise_offset=0.0)


def test_its_loss_is_that_of_the_paper(model: Any) -> None:
    """Ho et al. 2021, arXiv 2106.15282, algorithm 1: both noises and both levels are drawn; cf. the pipeline's loop."""
    x, cond = encoded(model, "upscaling")
    torch.manual_seed(11)
    loss = model.loss(x, cond)
    torch.manual_seed(11)
    level, low_noise = (torch.rand(3) * 1000).long(), torch.randn(x.shape)
    t, noise = (torch.rand(3) * 1000).long(), torch.randn(x.shape)
    schedule = DDPMScheduler(beta_schedule="squaredcos_cap_v2")
    small = F.interpolate(x, (4, 4), mode="bicubic", antialias=True).clamp(-1, 1)
    low = F.interpolate(small, (16, 16), mode="bilinear", align_corners=True)
    given = torch.cat([schedule.add_noise(x, noise, t), schedule.add_noise(low, low_noise, level)], dim=1)
    found = model.backbone(given, t, cond["prompt_embeds"], class_labels=level).sample
    expected = F.mse_loss(found.chunk(2, dim=1)[0], noise, reduction="none").mean(dim=(1, 2, 3))
    torch.testing.assert_close(loss, expected)


def test_on_latents_and_crops_too(tiny_folder: Folder) -> None:
    """Of a crop that each picture draws, in latents of 4 pixels; the published one learned levels 0 to 350."""
    model: Any = make("latent_upscaling", tiny_folder("latent_upscaling"), noise_offset=0.0, crop=8)
    x, cond = encoded(model, "latent_upscaling")
    torch.manual_seed(11)
    loss = model.loss(x, cond)
    torch.manual_seed(11)
    places = (torch.rand(3, 2) * 3).long().tolist()  # of 2 latents among 4
    cut = torch.stack([one[:, top : top + 2, left : left + 2] for one, (top, left) in zip(x, places, strict=True)])
    level, low_noise = (torch.rand(3) * 351).long(), torch.randn(3, 3, 2, 2)
    clean = DiagonalGaussianDistribution(cut[:, :8]).sample() * 0.08333
    t, noise = (torch.rand(3) * 1000).long(), torch.randn(clean.shape)
    schedule = DDPMScheduler()  # the pipeline's own, of both
    noised = model.pipeline.low_res_scheduler.add_noise(cut[:, 8:], low_noise, level)
    given = torch.cat([schedule.add_noise(clean, noise, t), noised], dim=1)
    found = model.backbone(given, t, cond["prompt_embeds"], class_labels=level).sample
    velocity = schedule.get_velocity(clean, noise, t)
    torch.testing.assert_close(loss, F.mse_loss(found, velocity, reduction="none").mean(dim=(1, 2, 3)))
    small = F.interpolate(images("latent_upscaling"), (4, 4), mode="bicubic", antialias=True).clamp(-1, 1)
    torch.testing.assert_close(x[:, 8:], small)


def test_a_crop_is_a_window_of_a_pictures_own() -> None:
    places = torch.stack(torch.meshgrid(torch.arange(6.0), torch.arange(9.0), indexing="ij")).expand(200, -1, -1, -1)
    with draws.seeded(range(200), torch.device("cpu")):
        found = cropped(places, 4)
    assert found.shape == (200, 2, 4, 4)
    assert torch.equal(found - found[:, :, :1, :1], places[:, :, :4, :4])
    assert {tuple(corner) for corner in found[:, :, 0, 0].tolist()} == set(product(range(3), range(6)))
    with draws.seeded([3, 150], torch.device("cpu")):
        assert torch.equal(cropped(places[:2], 4), found[[3, 150]])
    assert cropped(places, 7).shape == (200, 2, 6, 7)  # as far as it goes


@pytest.mark.parametrize(("crop", "said"), [(6, "give a multiple of 4"), (32, "give .* at most data.resolution, 16")])
def test_a_crop_that_does_not_fit_is_one_line(crop: int, said: str, tiny_folder: Folder) -> None:
    with pytest.raises(UserError, match=f"crop {crop}: {said}"):
        make("upscaling", tiny_folder("upscaling"), crop=crop)


def low(folder: Path) -> Path:
    """Two pictures as `emu sample` leaves them."""
    folder.mkdir()
    rows = []
    for i, prompt in enumerate(PROMPTS[::2]):
        Image.new("RGB", (4, 4), (200 * i, 100, 0)).save(folder / f"{i:05d}.png")
        sampler = {"num_inference_steps": 50, "guidance_scale": 7.0}
        rows.append({"file": f"{i:05d}.png", "prompt": prompt, "seed": SEEDS[i], "sampler": sampler, "index": i})
    (folder / "samples.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return folder


def test_prompts_are_a_folder_of_the_stage_before(model: Any, tmp_path: Path) -> None:
    folder = low(tmp_path / "low")
    rows = load_prompts(folder)
    assert [(row["prompt"], row["seed"]) for row in rows] == [("a red boat at noon", 7), ("two green hills", 8)]
    assert not any("settings" in row for row in rows)  # those of the stage before
    (batch,) = prompt_batches(rows, batch_size=2, rank=0, world=1)
    pictures = draw(model, batch)
    for image in ("00000.png", "00001.png"):
        for row in rows:
            row["image"] = str(folder / image)
        same = draw(model, prompt_batches(rows, batch_size=2, rank=0, world=1)[0])
        i = int(image == "00001.png")
        torch.testing.assert_close(same[i], pictures[i], rtol=0, atol=1e-5)
        assert (same[1 - i] - pictures[1 - i]).abs().mean() > 1e-3  # made of another picture


def test_a_picture_may_lie_beside_a_prompt_file(tmp_path: Path) -> None:
    file = low(tmp_path / "low") / "prompts.jsonl"
    file.write_text('{"prompt": "a", "image": "00001.png"}\n{"prompt": "b", "image": "elsewhere.png"}\n')
    rows = load_prompts(file)
    assert starts.of_rows(rows[:1])[0, :, 0, 0].tolist() == pytest.approx([200 / 127.5 - 1, 100 / 127.5 - 1, -1])
    assert rows[1]["image"] == "elsewhere.png"  # a column like any other


@pytest.mark.parametrize(
    ("row", "said"), [({}, "starts from a picture: give the folder"), ({"image": __file__}, "no picture that can be")]
)
def test_a_prompt_without_a_picture_is_refused(model: Any, row: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=f"here: prompt 1, 'a': .*{said}"):
        require_drawable(model, [{"prompt": "a", "index": 0, **row}], where="here")


@pytest.mark.parametrize(
    ("sides", "settings", "said"),
    [
        ((5, 4), {}, "starts from pictures whose sides are multiples of 2 pixels, not 4x5"),
        ((4, 6), {"width": 32}, "makes 24x16 pixels of a picture of 6x4, not 24x32; leave width and height out"),
    ],
)
def test_a_size_that_does_not_fit_is_one_line(
    sides: tuple[int, int], settings: dict[str, Any], said: str, tiny_folder: Folder
) -> None:
    large = make("latent_upscaling", tiny_folder("latent_upscaling"))
    row = {"prompt": "a", "index": 0, "image": Image.new("RGB", sides), "settings": settings}
    with pytest.raises(UserError, match=f"here: prompt 1, 'a': LatentUpscaling {said}"):
        require_drawable(large, [row], where="here")


def test_pictures_of_several_sizes_are_drawn_in_batches_of_one(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "large.png")
    images = [str(START), str(tmp_path / "large.png"), str(START), "elsewhere.png"]
    rows = [{"prompt": "a", "seed": i, "index": i, "image": image} for i, image in enumerate(images)]
    batches = prompt_batches(rows, batch_size=4, rank=0, world=1)
    assert [batch["index"].tolist() for batch in batches] == [[0, 2], [1], [3]]
    assert starts.of_rows(batches[0]["columns"]).shape[-1] != starts.of_rows(batches[1]["columns"]).shape[-1]
    with pytest.raises(UserError, match="of 2 sizes"):
        starts.of_rows(rows[:2])


def test_from_nothing_it_learns_of_crops_goes_on_to_the_bit_and_is_written(tmp_path: Path) -> None:
    new(UNTRAINED, tmp_path / "base", captions=pipelines.CAPTIONS * 9, learn_steps=2)
    batch = training_batch("latent")  # of 32 pixels
    settings: dict[str, Any] = {"crop": 16, "resolution": 32, "sampler": {"num_inference_steps": 2}, "warmup_steps": 0}

    def fit(steps: int, checkpoint: Path | None = None) -> PixelUpscaling:
        model = PixelUpscaling(str(tmp_path / "base"), optimizer=lambda p: torch.optim.AdamW(p, lr=3e-3), **settings)
        run = trainer(tmp_path, max_steps=steps, limit_val_batches=0)
        run.fit(model, loader(batch), loader(prompt_batch()), ckpt_path=checkpoint)
        run.save_checkpoint(tmp_path / f"{steps}.ckpt")
        return model

    def error(model: PixelUpscaling) -> float:
        cond = model.encode_prompts(batch["text"])
        with torch.no_grad(), draws.seeded([1, 2, 3], model.device), draws.at_times(batch["time"]):
            return float(model.loss(batch["image"], cond).mean())

    fit(10)
    learned, again = fit(20), fit(20, tmp_path / "10.ckpt")
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in learned.state_dict().items())
    untrained = PixelUpscaling(str(tmp_path / "base"), **settings)
    untrained.configure_model()
    assert error(learned) < 0.95 * error(untrained)
    learned.save_pipeline(tmp_path / "out")
    written: Any = load_model(tmp_path / "out")
    cond = {**written.encode_prompts(["a red boat"]), "image": torch.zeros(1, 3, 8, 8)}
    assert written.sample(cond, written.negative_prompt(), [0]).shape == (1, 3, 32, 32)
