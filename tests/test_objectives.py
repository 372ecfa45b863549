"""The laws of the losses: one number a sample, exact answers cost nothing, draws that are what they say."""

import math
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler, DPMSolverMultistepScheduler
from torch import Tensor

from emu.objectives import (
    ddpm_loss,
    draw_mask,
    flow_matching_loss,
    masked_token_loss,
    min_snr_weight,
    offset_noise,
)
from emu.objectives.draws import at_times, draw_normal, draw_posterior, draw_times, draw_uniform, seeded
from emu.objectives.shift import shift_of

CPU = torch.device("cpu")
PREDICTIONS = ["epsilon", "v_prediction", "sample"]


@pytest.fixture
def x() -> Tensor:
    return torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def schedule(prediction_type: str = "epsilon", **config: object) -> DDPMScheduler:
    return DDPMScheduler(prediction_type=prediction_type, clip_sample=False, **config)


def test_times_are_uniform_below_one() -> None:
    torch.manual_seed(0)
    times = draw_times(4000, CPU)
    assert times.dtype == torch.float32
    assert 0 <= times.min() < times.max() < 1
    assert times.mean() == pytest.approx(0.5, abs=0.02)
    assert times.std() == pytest.approx(12**-0.5, abs=0.01)


def middles(count: int) -> Tensor:
    """Of `count` equal parts of [0,1)."""
    return (torch.arange(count) + 0.5) / count


def test_given_times_end_with_the_context() -> None:
    with at_times(middles(4)):
        assert draw_times(4, CPU).tolist() == [0.125, 0.375, 0.625, 0.875]
    with pytest.raises(ZeroDivisionError), at_times(middles(4)):
        raise ZeroDivisionError
    assert draw_times(4, CPU).tolist() != [0.125, 0.375, 0.625, 0.875]


def test_seeds_make_random_numbers_a_pictures_own() -> None:
    with seeded([5, 6, 7], CPU):
        normal, uniform, again = draw_normal([3, 2, 4], CPU), draw_uniform([3, 8], CPU), draw_normal([3, 2, 4], CPU)
    assert normal.shape == (3, 2, 4)
    assert uniform.shape == (3, 8)
    assert not torch.equal(normal, again)
    with seeded([7], CPU):
        torch.testing.assert_close(draw_normal([1, 2, 4], CPU), normal[2:], rtol=0, atol=0)
        torch.testing.assert_close(draw_uniform([1, 8], CPU), uniform[2:], rtol=0, atol=0)
    assert not torch.equal(draw_uniform([3, 8], CPU), uniform)


def test_a_posterior_is_drawn_around_its_mean() -> None:
    moments = torch.cat([torch.full((2000, 1, 2, 2), 3.0), torch.full((2000, 1, 2, 2), math.log(0.25))], dim=1)
    with seeded(range(2000), CPU):
        drawn = draw_posterior(moments)
    assert drawn.shape == (2000, 1, 2, 2)
    assert drawn.mean() == pytest.approx(3, abs=0.02)
    assert drawn.std() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("kind", PREDICTIONS)
@pytest.mark.parametrize("gamma", [None, 5.0])
def test_what_the_scheduler_calls_exact_costs_nothing(x: Tensor, kind: str, gamma: float | None) -> None:
    scheduler, noise, t = schedule(kind), torch.randn_like(x), torch.tensor([0, 10, 500, 999])
    exact = {"epsilon": noise, "v_prediction": scheduler.get_velocity(x, noise, t), "sample": x}[kind]
    loss = ddpm_loss(lambda *_: exact, x, scheduler, noise=noise, timesteps=t, min_snr_gamma=gamma)
    assert loss.tolist() == [0, 0, 0, 0]


def test_noisy_pictures_are_the_schedulers(x: Tensor) -> None:
    scheduler, noise, t = schedule(), torch.randn_like(x), torch.tensor([0, 10, 500, 999])
    seen: list[Tensor] = []

    def predict(noisy: Tensor, timesteps: Tensor) -> Tensor:
        seen.extend([noisy, timesteps])
        return torch.zeros_like(noisy)

    loss = ddpm_loss(predict, x, scheduler, noise=noise, timesteps=t)
    torch.testing.assert_close(seen[0], scheduler.add_noise(x, noise, t))
    assert torch.equal(seen[1], t)
    torch.testing.assert_close(loss, noise.square().mean(dim=(1, 2, 3)))


def test_variance_channels_are_left_out(x: Tensor) -> None:
    noise, t = torch.randn_like(x), torch.tensor([1, 2, 3, 4])
    both = torch.cat([noise, torch.full_like(noise, 100.0)], dim=1)
    assert ddpm_loss(lambda *_: both, x, schedule(), noise=noise, timesteps=t).tolist() == [0, 0, 0, 0]


def test_timesteps_cover_the_schedule(x: Tensor) -> None:
    seen: list[Tensor] = []

    def predict(noisy: Tensor, timesteps: Tensor) -> Tensor:
        seen.append(timesteps)
        return noisy

    many = x[:1, :, :1, :1].expand(1000, 3, 1, 1)
    with at_times(middles(1000)):
        ddpm_loss(predict, many, schedule())
    assert seen[0].dtype == torch.int64
    assert seen[0].tolist() == list(range(1000))


@pytest.mark.parametrize("kind", PREDICTIONS)
def test_min_snr_weighs_the_same_error_alike_in_all_three_forms(kind: str) -> None:
    """An error d in the clean sample is d * sqrt(SNR) in epsilon and d * sqrt(SNR + 1) in v."""
    alphas = schedule().alphas_cumprod
    snr = alphas / (1 - alphas)
    in_form = {"epsilon": snr, "v_prediction": snr + 1, "sample": torch.ones_like(snr)}[kind]
    torch.testing.assert_close(in_form * min_snr_weight(alphas, 5.0, kind), snr.clamp(max=5.0))


def test_min_snr_is_finite_at_zero_terminal_snr(x: Tensor) -> None:
    t = torch.full((4,), 999)
    for kind in PREDICTIONS:
        scheduler = schedule(kind, rescale_betas_zero_snr=True)
        loss = ddpm_loss(lambda noisy, _: noisy, x, scheduler, timesteps=t, min_snr_gamma=5.0)
        assert loss.isfinite().all()


def test_an_unknown_prediction_is_named(x: Tensor) -> None:
    scheduler = schedule()
    scheduler.register_to_config(prediction_type="score")
    with pytest.raises(ValueError, match="'score'"):
        ddpm_loss(lambda noisy, _: noisy, x, scheduler)


def test_offset_is_shared_by_a_channel_and_by_nothing_else() -> None:
    torch.manual_seed(0)
    noise = offset_noise(torch.zeros(200, 4, 32, 32), 0.5)
    means = noise.mean(dim=(2, 3))
    assert means.std() == pytest.approx(0.5, abs=0.05)
    assert noise.sub(means[:, :, None, None]).std() == pytest.approx(1.0, abs=0.01)
    correlation = torch.corrcoef(means.T) - torch.eye(4)
    assert correlation.abs().max() < 0.25


def test_flow_knows_its_two_ends(x: Tensor) -> None:
    noise, seen = torch.randn_like(x), []

    def predict(noisy: Tensor, sigmas: Tensor) -> Tensor:
        seen.append(noisy)
        return noise - x

    sigmas = torch.tensor([0.0, 0.25, 0.75, 1.0])
    assert flow_matching_loss(predict, x, noise=noise, sigmas=sigmas).tolist() == [0, 0, 0, 0]
    assert torch.equal(seen[0][0], x[0])
    assert torch.equal(seen[0][3], noise[3])
    torch.testing.assert_close(seen[0][1], 0.75 * x[1] + 0.25 * noise[1])


@pytest.mark.parametrize(("mean", "std", "shift"), [(0.0, 1.0, 1.0), (0.5, 0.7, 1.0), (0.0, 1.0, 3.0)])
def test_noise_levels_are_logit_normal_then_shifted(mean: float, std: float, shift: float) -> None:
    """The logit turns the shift into an addition of its logarithm."""
    seen: list[Tensor] = []

    def predict(noisy: Tensor, sigmas: Tensor) -> Tensor:
        seen.append(sigmas)
        return noisy

    with at_times(middles(2000)):
        flow_matching_loss(predict, torch.zeros(2000, 1, 1, 1), mean=mean, std=std, shift=shift)
    logits = torch.logit(seen[0].double())
    assert logits.mean() == pytest.approx(mean + math.log(shift), abs=1e-3)
    assert logits.std() == pytest.approx(std, abs=5e-3)


def test_masks_follow_the_cosine_and_hide_at_least_one() -> None:
    with at_times(middles(1000)):
        mask = draw_mask(torch.Size([1000, 4, 4]), CPU)
    hidden = mask.flatten(1).sum(1)
    assert hidden[0] == 16
    assert hidden[-1] == 1
    assert (hidden.diff() <= 0).all()
    assert hidden.float().mean() == pytest.approx(16 * 2 / math.pi, rel=0.01)
    assert mask.float().mean(0).std() < 0.03  # no place is hidden more than another


def test_only_hidden_tokens_count() -> None:
    tokens = torch.randint(0, 9, (3, 4, 4))
    mask = torch.zeros(3, 4, 4, dtype=torch.bool)
    mask[:, 0, :2] = True
    seen: list[Tensor] = []

    def predict(masked: Tensor) -> Tensor:
        seen.append(masked)
        right = torch.nn.functional.one_hot(tokens, 9).permute(0, 3, 1, 2).float() * 100
        return torch.where(mask[:, None], right, -right)  # wrong wherever it does not count

    assert masked_token_loss(predict, tokens, mask_id=9, mask=mask).tolist() == [0, 0, 0]
    assert torch.equal(seen[0] == 9, mask)
    assert torch.equal(seen[0][~mask], tokens[~mask])
    flat = masked_token_loss(lambda _: torch.zeros(3, 9, 4, 4), tokens, mask_id=9)
    torch.testing.assert_close(flat, torch.full((3,), math.log(9)))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_solver_that_is_told_no_range_is_shifted_as_it_draws() -> None:
    settings: dict[str, Any] = {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 3.0}
    fixed, flagged = (DPMSolverMultistepScheduler(**settings, use_dynamic_shifting=flag) for flag in (False, True))
    for scheduler in (fixed, flagged):
        scheduler.set_timesteps(5)
    assert torch.equal(fixed.sigmas, flagged.sigmas)
    assert shift_of(fixed, tokens=4) == shift_of(flagged, tokens=4) == 3
