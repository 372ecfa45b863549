"""What a model learns by, one number a sample, and the random numbers and noise levels that it draws for that."""

from emu.objectives.losses import (
    ddpm_loss,
    draw_mask,
    draw_sigmas,
    flow_matching_loss,
    masked_token_loss,
    mean_square,
    min_snr_weight,
    offset_noise,
    target_of,
)

__all__ = [
    "ddpm_loss",
    "draw_mask",
    "draw_sigmas",
    "flow_matching_loss",
    "masked_token_loss",
    "mean_square",
    "min_snr_weight",
    "offset_noise",
    "target_of",
]
