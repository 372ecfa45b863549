"""The tokenizer of a masked model: from nothing by `emu fit`, resumed to the bit, exported; its decoder alone."""

import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline, VQModel

import reconstructions
from emu.cli import main
from emu.layouts import runs
from emu.layouts.quality_json import read_quality
from emu.models import Tokenizer, load_model
from emu.planning.footprint import Work, step
from emu.planning.outline import Outline

fit = partial(reconstructions.fit, architecture="Tokenizer")


@pytest.fixture(autouse=True)
def _same_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reconstructions.folder(tmp_path_factory.mktemp("tokenizer"), "muse")


@pytest.fixture(scope="module")
def run(root: Path) -> Path:
    """Eight steps without a break."""
    return fit(root, root / "run", steps=8)


def state(run: Path) -> dict[str, torch.Tensor]:
    """What a run's eighth step left."""
    weights: dict[str, torch.Tensor] = torch.load(runs.checkpoint(run, 8), weights_only=True)["state_dict"]
    return weights


def test_it_learns_and_says_how_many_codes_are_used(run: Path) -> None:
    (check,) = read_quality(run).checks[-1:]
    assert check.held_out_ratio < 0.9
    header, *_, last = next((run / "csv").rglob("metrics.csv")).read_text().splitlines()
    row = dict(zip(header.split(","), last.split(","), strict=True))
    assert 1 <= float(row["codes_perplexity"]) <= float(row["codes_used"]) <= 16
    assert float(row["codes_used"]) > 4  # of the untrained one's, all of them near 0, two or three occur
    assert {"psnr", "ssim"} <= row.keys()


def test_a_plan_counts_its_step(root: Path) -> None:
    work = Work(batch=2, size=(32, 32), autocast=False, half=False, accumulates=False, apart=True)
    assert step(Outline(Tokenizer(str(root / "pipeline"))), work) > 2 * 3 * 32 * 32 * 4  # bytes of its pictures


def test_a_run_that_goes_on_is_the_run_without_a_break(run: Path, root: Path, tmp_path: Path) -> None:
    fit(root, tmp_path / "run", steps=4)
    fit(root, tmp_path / "run", steps=8)
    whole, broken = state(run), state(tmp_path / "run")
    assert {key.partition(".")[0] for key in whole} == {"backbone", "ema", "critic", "codebook"}
    assert [key for key in whole if not torch.equal(whole[key], broken[key])] == []


def test_both_networks_have_the_codes_that_follow(run: Path) -> None:
    weights = state(run)
    codes = weights["backbone.quantize.embedding.weight"]
    assert torch.equal(codes, weights["ema.quantize.embedding.weight"])
    assert codes.unique(dim=0).shape == codes.shape


def test_it_is_exported_as_the_pipeline_it_came_from(run: Path, root: Path, tmp_path: Path) -> None:
    main(["export", str(run), str(tmp_path / "out")])
    before, after = (DiffusionPipeline.from_pretrained(folder) for folder in (root / "pipeline", tmp_path / "out"))
    pairs = zip(before.transformer.parameters(), after.transformer.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(before.vqvae.quantize.embedding.weight, after.vqvae.quantize.embedding.weight)
    model = load_model(tmp_path / "out")
    model.sampler["num_inference_steps"] = 1
    drawn = model.sample(model.encode_prompts(["a red boat"]), model.encode_prompts([""]), [0], height=32, width=32)
    assert drawn.shape == (1, 3, 32, 32)


def test_a_decoder_alone_leaves_what_tokens_mean(root: Path, tmp_path: Path) -> None:
    out = fit(root, tmp_path / "run", steps=4, decoder_only=True)
    main(["export", str(out), str(tmp_path / "out")])
    before, after = (VQModel.from_pretrained(folder / "vqvae") for folder in (root / "pipeline", tmp_path / "out"))
    images = torch.rand(1, 3, 32, 32)
    assert torch.equal(before.encode(images).latents, after.encode(images).latents)
    assert torch.equal(before.quantize.embedding.weight, after.quantize.embedding.weight)
    assert not torch.equal(before.decoder.conv_out.weight, after.decoder.conv_out.weight)


def test_a_picture_s_loss_is_its_own(root: Path) -> None:
    model = Tokenizer(str(root / "pipeline"), adversarial_weight=0)
    model.configure_model()
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(model.loss(images, {})[1:2], model.loss(images[1:2], {}))


def test_gradient_checkpointing_changes_no_loss(root: Path) -> None:
    """Its middle holds None where others have attention; an adapter's blocks and FSDP's are found in the same way."""
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    costs = []
    for recomputed in (False, True):
        model = Tokenizer(str(root / "pipeline"), gradient_checkpointing=recomputed, decoder_only=True)
        model.configure_model()
        made, _ = model.reconstruct(images)
        made.square().mean().backward()
        costs.append((made.detach(), model.backbone.decoder.conv_out.weight.grad))
    for one, other in zip(*costs, strict=True):
        torch.testing.assert_close(one, other)


def test_what_it_gives_back_is_what_the_pipeline_decodes(root: Path) -> None:
    model = Tokenizer(str(root / "pipeline"))
    model.configure_model()
    pipeline = DiffusionPipeline.from_pretrained(root / "pipeline")
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        decoded = pipeline.vqvae.decode(pipeline.vqvae.encode(images / 2 + 0.5).latents).sample * 2 - 1
        torch.testing.assert_close(model.given_back(images), decoded)
