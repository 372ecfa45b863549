"""What a model learns by: Gaussian diffusion, flow matching and masked tokens, each one number per sample.

Each takes `predict`, the network as a function of what is noisy and when, and draws its own time and noise:

    ddpm_loss(lambda noisy, t: unet(noisy, t, text).sample, latents, DDPMScheduler())  # (b,)

All random numbers come from `emu.objectives.draws`.
"""

import math
from collections.abc import Callable

import torch
from diffusers import DDPMScheduler
from torch import Tensor
from torch.nn import functional as F

from emu import answers
from emu.errors import UserError
from emu.objectives.draws import draw_normal, draw_times, draw_uniform

Predict = Callable[[Tensor, Tensor], Tensor]


def ddpm_loss(
    predict: Predict,
    x: Tensor,
    scheduler: DDPMScheduler,
    *,
    noise_offset: float = 0.0,
    min_snr_gamma: float | None = None,
    noise: Tensor | None = None,
    timesteps: Tensor | None = None,
) -> Tensor:
    """Mean squared error of noise, velocity or sample, whichever `scheduler.config.prediction_type` names: (b,).

    Args:
        predict: (noisy (b,c,h,w), timesteps int64 (b,)) -> (b,c,h,w), or (b,2c,h,w) where a variance follows.
        x: clean, float (b,c,h,w), scaled as the network takes it.
        scheduler: the noise schedule; its alphas_cumprod moves to the device of x once.
        noise_offset: standard deviation of the part of the noise that a whole channel shares.
        min_snr_gamma: weight min(SNR, gamma) / SNR in terms of the clean sample (Hang et al. 2023, arXiv 2303.09556).
        noise: (b,c,h,w) instead of a draw; the offset is then taken to be in it.
        timesteps: int64 (b,) instead of a draw.
    """
    if timesteps is None:
        steps = scheduler.config.num_train_timesteps
        timesteps = (draw_times(len(x), x.device) * steps).long().clamp(max=steps - 1)
    if noise is None:
        noise = offset_noise(x, noise_offset)
    noisy = scheduler.add_noise(x, noise, timesteps)
    prediction = predict(noisy, timesteps)
    if isinstance(prediction, Tensor):  # else it is refused below
        prediction = prediction[:, : x.shape[1]]
    loss = mean_square(prediction, target_of(x, noise, timesteps, scheduler))
    if min_snr_gamma is None:
        return loss
    weight = min_snr_weight(scheduler.alphas_cumprod[timesteps], min_snr_gamma, scheduler.config.prediction_type)
    return loss * weight


def target_of(x: Tensor, noise: Tensor, timesteps: Tensor, scheduler: DDPMScheduler) -> Tensor:
    """What the network should predict, all (b,c,h,w) but for the timesteps (b,)."""
    match scheduler.config.prediction_type:
        case "epsilon":
            return noise
        case "v_prediction":
            velocity: Tensor = scheduler.get_velocity(x, noise, timesteps)
            return velocity
        case "sample":
            return x
        case other:
            raise ValueError(f"prediction_type {other!r} is not epsilon, v_prediction or sample")


def min_snr_weight(alphas_cumprod: Tensor, gamma: float, prediction_type: str) -> Tensor:
    """The weight of a loss in `prediction_type` that weighs the clean sample's error by min(SNR, gamma): (b,)."""
    snr = alphas_cumprod / (1 - alphas_cumprod)
    match prediction_type:
        case "epsilon":
            return (gamma / snr).clamp(max=1)  # also where SNR is 0, as in zero-terminal-SNR schedules
        case "v_prediction":
            return snr.clamp(max=gamma) / (snr + 1)
        case _:
            return snr.clamp(max=gamma)


def offset_noise(x: Tensor, offset: float) -> Tensor:
    """Normal noise shaped as x (b,c,h,w), plus `offset` times a normal number per picture and channel."""
    noise = draw_normal(x.shape, x.device, x.dtype)
    if offset:
        noise += offset * draw_normal([*x.shape[:2], 1, 1], x.device, x.dtype)
    return noise


def flow_matching_loss(
    predict: Predict,
    x: Tensor,
    *,
    shift: float = 1.0,
    mean: float = 0.0,
    std: float = 1.0,
    noise_offset: float = 0.0,
    noise: Tensor | None = None,
    sigmas: Tensor | None = None,
) -> Tensor:
    """Mean squared error of the velocity `noise - x` on the straight path between the two: (b,).

    Esser et al. 2024, arXiv 2403.03206: equation 13 for the path, 19 for the times, 23 for the shift.

    Args:
        predict: (noisy (b,c,h,w), sigmas float (b,) in [0,1], 1 is all noise) -> velocity (b,c,h,w).
        x: clean, float (b,c,h,w), scaled as the network takes it.
        shift: moves sigmas to the noisy side, as the sampling scheduler does.
        mean: of the logit of sigma, before the shift.
        std: of the logit of sigma.
        noise_offset: as in `ddpm_loss`.
        noise: (b,c,h,w) instead of a draw.
        sigmas: (b,) instead of a draw; taken to be shifted.
    """
    if sigmas is None:
        sigmas = draw_sigmas(len(x), x.device, shift=shift, mean=mean, std=std)
    if noise is None:
        noise = offset_noise(x, noise_offset)
    sigma = sigmas.view(-1, 1, 1, 1)
    return mean_square(predict((1 - sigma) * x + sigma * noise, sigmas), noise - x)


def draw_sigmas(b: int, device: torch.device, *, shift: float, mean: float, std: float) -> Tensor:
    """Noise levels, float32 (b,) in [0,1]; the arguments are those of `flow_matching_loss`."""
    sigmas = torch.sigmoid(mean + std * torch.special.ndtri(draw_times(b, device)))
    return shift * sigmas / (1 + (shift - 1) * sigmas)


def masked_token_loss(
    predict: Callable[[Tensor], Tensor], tokens: Tensor, *, mask_id: int, mask: Tensor | None = None
) -> Tensor:
    """Cross-entropy of the masked tokens, averaged over those of each picture: (b,).

    Not over those of the batch, as aMUSEd's own script has it: every picture weighs the same, whatever else is in its
    batch. A share cos(pi u / 2) is masked, at least one token (Chang et al. 2022, arXiv 2202.04200, section 3.1).

    Args:
        predict: tokens int64 (b,h,w), some of them mask_id -> logits (b,codes,h,w).
        tokens: int64 (b,h,w) in [0,codes).
        mask_id: the token that stands for "masked".
        mask: bool (b,h,w) instead of a draw; at least one True per picture.
    """
    if mask is None:
        mask = draw_mask(tokens.shape, tokens.device)
    logits = predict(torch.where(mask, mask_id, tokens))
    if not isinstance(logits, Tensor) or (*logits.shape[:1], *logits.shape[2:]) != tokens.shape:
        raise UserError(
            f"predict gave {answers.shown(logits)} for tokens of {tuple(tokens.shape)}; give logits (b,codes,h,w)"
        )
    losses = F.cross_entropy(logits.float(), tokens, reduction="none")
    return (losses * mask).sum(dim=(1, 2)) / mask.sum(dim=(1, 2))


def draw_mask(shape: torch.Size, device: torch.device) -> Tensor:
    """bool `shape` (b,h,w): per picture round(h w cos(pi u / 2)) tokens, at least one, anywhere."""
    b, length = shape[0], shape[1:].numel()
    share = torch.cos(draw_times(b, device) * math.pi / 2)
    number = (length * share).round().clamp(min=1)
    return (draw_uniform([b, length], device).argsort(1) < number[:, None]).view(shape)


def mean_square(prediction: Tensor, target: Tensor) -> Tensor:
    """The mean squared error of each sample, (b,c,h,w) twice -> float32 (b,). UserError: they are not alike."""
    if not isinstance(prediction, Tensor) or prediction.shape != target.shape:
        raise UserError(
            f"predict gave {answers.shown(prediction)}, where a tensor of {tuple(target.shape)} is learned; give the "
            "network's first output, in the shape of what is noisy"
        )
    return (prediction.float() - target.float()).square().mean(dim=(1, 2, 3))
