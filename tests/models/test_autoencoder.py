"""The autoencoder: trained from nothing by `emu fit`, resumed to the bit, exported; its losses part by part."""

import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, DiffusionPipeline
from safetensors.torch import load_file, save_file
from transformers import ResNetConfig, ResNetModel

import pipelines
import reconstructions
from emu import flags
from emu.cli import main
from emu.errors import UserError
from emu.layouts import runs
from emu.layouts.quality_json import read_quality
from emu.models import Autoencoder, AutoencoderXL, load_model
from emu.models.reconstruction import pixel_error, psnr, similarity
from emu.networks.adapters import Adapter
from emu.objectives.draws import seeded
from emu.parts.discriminator import Discriminator, balance, deceive, hinge
from emu.parts.fourier import FourierAutoencoderKL, features
from emu.parts.perceptual import Perceptual
from emu.planning.plan import plan
from processes import ranks


@pytest.fixture(autouse=True)
def _same_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reconstructions.folder(tmp_path_factory.mktemp("autoencoder"), "latent")


fit = partial(reconstructions.fit, architecture="Autoencoder")


@pytest.fixture(scope="module")
def run(root: Path) -> Path:
    """Eight steps without a break."""
    return fit(root, root / "run", steps=8)


def test_it_learns_and_says_how_well_it_reconstructs(run: Path) -> None:
    (check,) = read_quality(run).checks[-1:]
    assert check.held_out_ratio < 0.9
    metrics = next((run / "csv").rglob("metrics.csv")).read_text()
    assert "psnr" in metrics.splitlines()[0]
    assert "ssim" in metrics.splitlines()[0]


def test_pictures_need_no_captions(root: Path, tmp_path: Path) -> None:
    """Though a model that reads captions refuses such."""
    for picture in (root / "needles").glob("*.png"):
        (tmp_path / picture.name).write_bytes(picture.read_bytes())
    given = ["-c", "latent/autoencoder", f"--data.root={tmp_path}", f"--model.init_args.pretrained={root / 'pipeline'}"]
    args = [*given, "--data.resolution=32", "--data.held_out=8", "--trainer.accelerator=cpu"]
    said = plan(flags.check(args))
    assert "24 of 24 used, 8 held out" in said
    assert "captions from nowhere (24)" in said
    with pytest.raises(UserError, match="no caption beside it"):
        plan(flags.check([*args, "--model.class_path=emu.models.LatentDiffusion"]))


def test_a_run_that_goes_on_is_the_run_without_a_break(run: Path, root: Path, tmp_path: Path) -> None:
    fit(root, tmp_path / "run", steps=4)
    fit(root, tmp_path / "run", steps=8)
    states = [torch.load(runs.checkpoint(one, 8), weights_only=True)["state_dict"] for one in (run, tmp_path / "run")]
    assert {key.partition(".")[0] for key in states[0]} == {"backbone", "ema", "critic", "latent_square"}
    assert [key for key in states[0] if not torch.equal(states[0][key], states[1][key])] == []


@pytest.mark.filterwarnings("ignore:Total length of `list`")
def test_a_run_with_nothing_to_watch_is_refused(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit(root, tmp_path / "first", steps=1)
    argv = ["--trainer.default_root_dir", str(tmp_path / "run"), "--data.held_out", "0"]
    with pytest.raises(SystemExit):
        main(["fit", "-c", str(root / "fit.yaml"), *argv])
    assert "data.held_out: nothing is there to watch" in capsys.readouterr().err


def test_it_is_exported_as_the_pipeline_it_came_from(run: Path, root: Path, tmp_path: Path) -> None:
    main(["export", str(run), str(tmp_path / "out")])
    before, after = (DiffusionPipeline.from_pretrained(folder) for folder in (root / "pipeline", tmp_path / "out"))
    assert all(torch.equal(a, b) for a, b in zip(before.unet.parameters(), after.unet.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(before.vae.parameters(), after.vae.parameters(), strict=True))
    model = load_model(tmp_path / "out")
    model.sampler["num_inference_steps"] = 1
    drawn = model.sample(model.encode_prompts(["a red boat"]), model.encode_prompts([""]), [0], height=32, width=32)
    assert drawn.shape == (1, 3, 32, 32)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"adapter": Adapter()}, "model.adapter: Autoencoder trains whole layers alone"),
        ({"critic_width": 6}, "model.critic_width 6: give a multiple of 4"),
        ({"critic_width": 0}, "model.critic_width 0: give a multiple of 4"),
        ({"adversarial_weight": -1.0}, "model.adversarial_weight -1.0: give 0 or more"),
        ({"adversarial_start": -1}, "model.adversarial_start -1: give 0 or more"),
        ({"kl_weight": -1.0}, "model.kl_weight -1.0: give 0 or more"),
        ({"ema_decay": 1.5}, "model.ema_decay 1.5: give 0 or more, and less than 1"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_would_end_or_spoil_a_run_later_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        Autoencoder("nowhere", **given)


def test_in_mixed_precision_the_scale_of_latents_follows_too(root: Path) -> None:
    model = Autoencoder(str(root / "pipeline"))
    model.configure_model()
    before = float(model.latent_square)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        model.reconstruct(torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1)
    assert model.latent_square.dtype == torch.float32
    assert float(model.latent_square) != before


def remember(pipeline: Path, out: Path) -> None:
    """What a device of several knows of the scale, after latents that are larger the higher its rank."""
    torch.distributed.init_process_group("gloo")
    rank = torch.distributed.get_rank()
    model = Autoencoder(str(pipeline))
    model.configure_model()
    latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    for _ in range(1000):
        model._remember((1 + 2 * rank) * latents)
    torch.save(model.latent_square, out / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def test_all_devices_have_one_scale_of_latents(root: Path, tmp_path: Path) -> None:
    codes = ranks(2, remember, root / "pipeline", tmp_path, log=tmp_path / "log")
    assert codes == [0, 0], (tmp_path / "log.0").read_text()[-2000:]
    one, other = (float(torch.load(tmp_path / f"{rank}.pt", weights_only=True)) for rank in range(2))
    assert one == other == pytest.approx((1 + 9) / 2, rel=0.2)


def test_latents_of_what_it_saves_have_unit_variance(root: Path, tmp_path: Path) -> None:
    model = Autoencoder(str(root / "pipeline"), adversarial_weight=0)
    model.configure_model()
    images = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    latents = model.backbone.encode(images).latent_dist.mean.detach()
    for _ in range(1500):
        model._remember(latents)
    model.save_pipeline(tmp_path / "out")
    vae = AutoencoderKL.from_pretrained(tmp_path / "out" / "vae")
    latents = vae.encode(images).latent_dist.mean * vae.config.scaling_factor
    assert float(latents.detach().std()) == pytest.approx(1, abs=0.02)


def test_a_decoder_alone_leaves_encoder_and_scale(root: Path, tmp_path: Path) -> None:
    out = fit(root, tmp_path / "run", steps=4, decoder_only=True)
    main(["export", str(out), str(tmp_path / "out")])
    before, after = (AutoencoderKL.from_pretrained(folder / "vae") for folder in (root / "pipeline", tmp_path / "out"))
    images = torch.rand(1, 3, 32, 32)
    assert torch.equal(before.encode(images).latent_dist.parameters, after.encode(images).latent_dist.parameters)
    assert before.config.scaling_factor == after.config.scaling_factor
    assert not torch.equal(before.decoder.conv_out.weight, after.decoder.conv_out.weight)


def test_a_picture_s_loss_is_its_own(root: Path) -> None:
    model = Autoencoder(str(root / "pipeline"), adversarial_weight=0)
    model.configure_model()
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad(), seeded([1, 2, 3], torch.device("cpu")):
        together = model.loss(images, {})
    with torch.no_grad(), seeded([2], torch.device("cpu")):
        alone = model.loss(images[1:2], {})
    torch.testing.assert_close(together[1:2], alone)


def test_sdxl_s_autoencoder_too(tmp_path: Path) -> None:
    pipelines.build("latent_xl").save_pretrained(tmp_path / "xl")
    model = AutoencoderXL(str(tmp_path / "xl"), adversarial_start=0, critic_width=8)
    model.configure_model()
    loss = model.loss(torch.rand(2, 3, 32, 32), {})
    loss.mean().backward()
    assert loss.shape == (2,)
    assert all(p.grad is not None for p in model.trained_parameters())


def test_critic_and_autoencoder_each_get_their_own_gradient() -> None:
    torch.manual_seed(0)
    critic, made = Discriminator(8), torch.rand(2, 3, 32, 32, requires_grad=True)
    deceive(critic, made).sum().backward()
    assert made.grad is not None
    assert all(p.grad is None for p in critic.parameters())
    made.grad = None
    loss = hinge(critic, torch.rand(2, 3, 32, 32), made)
    loss.sum().backward()
    assert loss.shape == (2,)
    assert made.grad is None
    assert all(p.grad is not None for p in critic.parameters())


def test_both_sides_pull_equally_hard_at_the_last_layer() -> None:
    weight = torch.ones(3, requires_grad=True)
    wanted, opposed = (7 * weight).sum(), (weight * torch.tensor([0.0, 0.5, 0.0])).sum()
    share = balance(wanted, opposed, weight)
    first, second = (torch.autograd.grad(loss, weight)[0].norm() for loss in (wanted, share * opposed))
    torch.testing.assert_close(first, second, rtol=1e-3, atol=0)


def test_errors_of_what_is_known() -> None:
    real = torch.rand(2, 3, 32, 32)
    assert pixel_error(real, real).tolist() == [0, 0]
    assert psnr((real + 0.1), real).tolist() == pytest.approx([20, 20], abs=1e-3)
    assert similarity(real, real).tolist() == pytest.approx([1, 1])
    faint = 0.8 + real / 10
    with torch.autocast("cpu", dtype=torch.bfloat16):  # in which held-out pictures of a run in it are looked at
        mixed = similarity(faint + 0.01, faint)
    assert torch.equal(mixed, similarity(faint + 0.01, faint))
    shifted = pixel_error(real + 0.1, real)
    assert shifted.tolist() == pytest.approx([0.1, 0.1], abs=1e-5)  # no edge moves
    assert bool((pixel_error(real + 0.1 * torch.randn_like(real), real) > shifted).all())


@pytest.fixture(scope="module")
def eyes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny ResNet of transformers."""
    folder = tmp_path_factory.mktemp("eyes")
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    ResNetModel(config).save_pretrained(folder)
    return folder


def test_the_perceptual_distance_is_a_distance(eyes: Path, root: Path) -> None:
    see = Perceptual(str(eyes)).eval()
    real = torch.rand(2, 3, 32, 32) * 2 - 1
    near, far = real + 0.02 * torch.randn_like(real), torch.rand_like(real) * 2 - 1
    assert see(real, real).tolist() == [0, 0]
    assert bool((see(near, real) < see(far, real)).all())
    model = Autoencoder(str(root / "pipeline"), perceptual=str(eyes), adversarial_weight=0)
    model.configure_model()
    assert "critic" not in dict(model.named_children())
    assert [name for name, _ in model.named_children()] == ["backbone", "ema"]  # it is frozen, and not saved
    model.loss(real, {}).mean().backward()
    assert all(p.grad is None for p in model.frozen_parts()[-1].parameters())


def test_half_precision_in_its_file_or_around_it_tells_small_differences(eyes: Path, tmp_path: Path) -> None:
    ResNetModel.from_pretrained(eyes).half().save_pretrained(tmp_path)
    see, halves = Perceptual(str(eyes)).eval(), Perceptual(str(tmp_path)).eval()
    real = torch.rand(2, 3, 32, 32) * 2 - 1
    for amount in (0.1, 0.001):
        near = real + amount * torch.randn_like(real)
        torch.testing.assert_close(halves(near, real), see(near, real), rtol=0.05, atol=0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert see(near, real).dtype == torch.float32


def test_a_network_that_sees_nothing_learned_is_refused(eyes: Path, tmp_path: Path) -> None:
    shutil.copytree(eyes, tmp_path, dirs_exist_ok=True)
    held = load_file(eyes / "model.safetensors")
    lost = next(name for name in held if name.endswith("convolution.weight"))
    save_file(
        {name: one for name, one in held.items() if name != lost}, tmp_path / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(UserError, match=f"1 are missing, such as {lost}"):
        Perceptual(str(tmp_path))


def test_what_sees_no_pictures_is_refused(root: Path) -> None:
    with pytest.raises(UserError, match="does not look at pictures"):
        Perceptual(str(root / "pipeline" / "text_encoder"))
    with pytest.raises(UserError, match="no model of transformers"):
        Perceptual("/no/such/folder")


def test_fourier_features_tell_levels_apart_and_load_with_the_pipeline(tmp_path: Path) -> None:
    levels = torch.tensor([254, 255]).view(2, 1, 1, 1).expand(2, 3, 1, 1) / 127.5 - 1
    assert features(levels, 0).equal(levels)
    plain, lifted = ((one[0] - one[1]).abs().max() for one in (levels, features(levels, 2)))
    assert lifted > 50 * plain
    assert features(levels, 2).shape[1] == 15
    pipeline = pipelines.build("latent")
    pipeline.register_modules(vae=FourierAutoencoderKL(**{**pipeline.vae.config, "in_channels": 15}))
    pipeline.save_pretrained(tmp_path)
    loaded = DiffusionPipeline.from_pretrained(tmp_path)
    assert isinstance(loaded.vae, FourierAutoencoderKL)
    images = torch.rand(1, 3, 32, 32)
    assert torch.equal(loaded.vae.encode(images).latent_dist.mean, pipeline.vae.encode(images).latent_dist.mean)
    model = Autoencoder(str(tmp_path), adversarial_weight=0)
    model.configure_model()
    assert model.loss(images, {}).isfinite().all()
