"""Our losses against the same computed by hand with diffusers' parts, as its example scripts do, draw for draw."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler, FlowMatchEulerDiscreteScheduler
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from torch import Tensor
from torch.nn import functional as F

from architectures import encoded, make
from pipelines import CODES, latent

Folder = Callable[[str], Path]


def loss_of(model: Any, x: Tensor, cond: dict[str, Tensor]) -> Tensor:
    torch.manual_seed(11)
    return model.loss(x, cond)


def draws(clean: Tensor, *, offset: float) -> tuple[Tensor, Tensor]:
    """Times in [0,1) and noise, in the order in which a loss draws them."""
    times = torch.rand(len(clean))
    noise = torch.randn_like(clean)
    return times, noise + offset * torch.randn(len(clean), clean.shape[1], 1, 1)


def noisy_and_target(scheduler: Any, clean: Tensor, noise: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    alpha = scheduler.alphas_cumprod[t].view(-1, 1, 1, 1)
    noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * noise
    velocity = alpha.sqrt() * noise - (1 - alpha).sqrt() * clean
    targets = {"epsilon": noise, "v_prediction": velocity, "sample": clean}
    return noisy, targets[scheduler.config.prediction_type]


def each(prediction: Tensor, target: Tensor) -> Tensor:
    return F.mse_loss(prediction, target, reduction="none").mean(dim=(1, 2, 3))


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("gamma", [None, 5.0])
def test_stable_diffusion(tmp_path: Path, kind: str, gamma: float | None) -> None:
    latent(kind).save_pretrained(tmp_path)
    model: Any = make("latent", tmp_path, min_snr_gamma=gamma)
    x, cond = encoded(model, "latent")
    loss = loss_of(model, x, cond)
    torch.manual_seed(11)
    clean = DiagonalGaussianDistribution(x).sample() * model.pipeline.vae.config.scaling_factor
    times, noise = draws(clean, offset=0.1)
    scheduler = DDPMScheduler.from_config(model.pipeline.scheduler.config)
    t = (times * 1000).long()
    noisy, target = noisy_and_target(scheduler, clean, noise, t)
    expected = each(model.backbone(noisy, t, cond["prompt_embeds"]).sample, target)
    if gamma is not None:
        snr = scheduler.alphas_cumprod[t] / (1 - scheduler.alphas_cumprod[t])
        over = {"epsilon": snr, "v_prediction": snr + 1, "sample": torch.ones_like(snr)}[kind]
        expected = expected * torch.minimum(snr, torch.tensor(gamma)) / over
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-6)


def test_stable_diffusion_xl(tiny_folder: Folder) -> None:
    model: Any = make("latent_xl", tiny_folder("latent_xl"))
    x, cond = encoded(model, "latent_xl")
    loss = loss_of(model, x, cond)
    torch.manual_seed(11)
    clean = DiagonalGaussianDistribution(x).sample() * 0.13025
    times, noise = draws(clean, offset=0.1)
    t = (times * 1000).long()
    noisy, target = noisy_and_target(DDPMScheduler.from_config(model.pipeline.scheduler.config), clean, noise, t)
    added = {"text_embeds": cond["pooled_prompt_embeds"], "time_ids": cond["size"].float()}
    prediction = model.backbone(noisy, t, cond["prompt_embeds"], added_cond_kwargs=added).sample
    torch.testing.assert_close(loss, each(prediction, target))


def test_pixart_sigma(tiny_folder: Folder) -> None:
    """PixArt-alpha/PixArt-sigma train_scripts/train_pixart_lora_hf.py: of 8 channels the first 4."""
    model: Any = make("pixart", tiny_folder("pixart"), noise_offset=0.0)
    x, cond = encoded(model, "pixart")
    loss = loss_of(model, x, cond)
    torch.manual_seed(11)
    clean = DiagonalGaussianDistribution(x).sample() * 0.13025
    times, noise = torch.rand(3), torch.randn(clean.shape)
    t = (times * 1000).long()
    schedule = DDPMScheduler(beta_start=0.0001, beta_end=0.02, beta_schedule="linear")
    noisy, target = noisy_and_target(schedule, clean, noise, t)
    prediction = model.backbone(
        noisy,
        encoder_hidden_states=cond["prompt_embeds"],
        encoder_attention_mask=cond["prompt_attention_mask"],
        timestep=t,
        added_cond_kwargs={"resolution": None, "aspect_ratio": None},
    ).sample
    torch.testing.assert_close(loss, each(prediction.chunk(2, dim=1)[0], target))


def test_an_empty_caption_is_zeros_for_xl(tiny_folder: Folder) -> None:
    model = make("latent_xl", tiny_folder("latent_xl"))
    cond = model.encode_prompts(["a boat", ""])
    assert all(value[0].any() and not value[1].any() for value in cond.values())


def test_deepfloyd_if(tiny_folder: Folder) -> None:
    model: Any = make("pixel", tiny_folder("pixel"), noise_offset=0.2)
    x, cond = encoded(model, "pixel")
    loss = loss_of(model, x, cond)
    torch.manual_seed(11)
    times, noise = draws(x, offset=0.2)
    t = (times * 1000).long()
    noisy, target = noisy_and_target(DDPMScheduler.from_config(model.pipeline.scheduler.config), x, noise, t)
    prediction = model.backbone(noisy, t, cond["prompt_embeds"]).sample
    assert prediction.shape[1] == 6
    torch.testing.assert_close(loss, each(prediction.chunk(2, dim=1)[0], target))


def test_amused(tiny_folder: Folder) -> None:
    model: Any = make("muse", tiny_folder("muse"))
    x, cond = encoded(model, "muse")
    loss = loss_of(model, x, cond)
    torch.manual_seed(11)
    share = torch.cos(torch.rand(3) * math.pi / 2)
    hidden = (x[0].numel() * share).round().clamp(min=1)
    mask = torch.rand(3, x[0].numel()).argsort(-1) < hidden[:, None]
    tokens = torch.where(mask, CODES, x.flatten(1))
    micro = torch.tensor([[32, 32, 0, 0, 6], [32, 64, 4, 0, 6], [96, 32, 0, 5, 6]]).float()  # width first
    logits = model.backbone(
        tokens.view_as(x),
        encoder_hidden_states=cond["encoder_hidden_states"],
        pooled_text_emb=cond["prompt_embeds"],
        micro_conds=micro,
    )
    labels = torch.where(mask, x.flatten(1), -100)
    rows = zip(logits.flatten(2), labels, strict=True)
    expected = torch.stack([F.cross_entropy(row.T, label, ignore_index=-100) for row, label in rows])
    torch.testing.assert_close(loss, expected)


def test_stable_diffusion_3(tiny_folder: Folder) -> None:
    model: Any = make("flow", tiny_folder("flow"), logit_mean=0.3, logit_std=0.8, noise_offset=0.05)
    x, cond = encoded(model, "flow")
    loss = loss_of(model, x, cond)
    torch.manual_seed(11)
    clean = (DiagonalGaussianDistribution(x).sample() - 0.0609) * 1.5305
    times, noise = draws(clean, offset=0.05)
    unshifted = torch.sigmoid(torch.distributions.Normal(0.3, 0.8).icdf(times))
    scheduler = FlowMatchEulerDiscreteScheduler.from_config(model.pipeline.scheduler.config)
    scheduler.set_timesteps(sigmas=unshifted.sort(descending=True).values.tolist())  # which shifts them
    sigmas = scheduler.sigmas[:-1][unshifted.argsort(descending=True).argsort()]
    noisy = (1 - sigmas.view(-1, 1, 1, 1)) * clean + sigmas.view(-1, 1, 1, 1) * noise
    prediction = model.backbone(
        hidden_states=noisy,
        timestep=sigmas * 1000,
        encoder_hidden_states=cond["prompt_embeds"],
        pooled_projections=cond["pooled_prompt_embeds"],
    ).sample
    torch.testing.assert_close(loss, each(prediction, noise - clean), rtol=1e-4, atol=1e-5)
