"""The last stage of pre-training: pictures whose subject is large and sharp more often, and a loss that looks at it.

A haystack's subjects are small, off the frame or blurred in most pictures, and cover a small part of the rest, so
bases that learned from it drew skies: the judge of faithfulness read the kind in 12, 18 and 4 % of the pictures of the
latent, pixel and masked one.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from emu.batch import Cond
from emu.models import LatentDiffusion, Muse
from emu.models.gaussian import GaussianDiffusion
from emu.models.muse import AESTHETIC_SCORE
from emu.module import TextToImageModule
from emu.objectives import draw_mask, offset_noise
from emu.world import QUALITIES, Scene, World

GRID = 16  # cells a side in which a subject is looked for
EMPHASIS = 4.0  # of cells that show the subject, against 1

# Of each quality, the share of pictures that have it. What 32 px need to show a kind is a large subject before few
# scraps, in focus; what tuning is to mend there is light and colour.
SHARPER = {"composition": 0.95, "lighting": 0.4, "colour": 0.35, "background": 0.75, "focus": 0.9}
SHARES = {
    "latent": {"composition": 0.88, "lighting": 0.5, "colour": 0.5, "background": 0.6, "focus": 0.75},
    "pixel": SHARPER,
    "muse": SHARPER,
}


def scene(index: int, shares: dict[str, float]) -> Scene:
    """A picture of the haystack that the bases learned from, its qualities drawn anew."""
    rng = np.random.default_rng((77, index))
    return replace(World(0).haystack(index), good=tuple(bool(rng.random() < shares[name]) for name in QUALITIES))


def where(shown: Scene) -> np.ndarray:
    """bool (GRID,GRID): the cells in which the subject is, and their neighbours; found by painting it two colours."""
    red, blue = (np.asarray(replace(shown, colour=name).render(), dtype=np.int16) for name in ("red", "blue"))
    side = len(red) // GRID
    cells = (abs(red - blue).max(2) > 10).reshape(GRID, side, GRID, side).max((1, 3))
    wide = np.pad(cells, 1)
    return cells | wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:]


def subject_loss(module: TextToImageModule, x: Tensor, cond: Cond) -> Tensor:
    """The module's error, (b,), the cells of `cond["where"]` weighing EMPHASIS times as much as others.

    What predicts best is the same as without weights, since each place has an expectation of its own.
    """
    return _token_loss(module, x, cond) if isinstance(module, Muse) else _velocity_loss(module, x, cond)


def _velocity_loss(module: GaussianDiffusion, x: Tensor, cond: Cond) -> Tensor:
    clean = module.latents(x)
    schedule, noise = module.noise_schedule, offset_noise(clean, module.noise_offset)
    # In the pixels' schedule a subject shows through the noise until far beyond the middle: a kind is learned from the
    # caption at the noisy end alone, so half of the times are drawn from its last quarter.
    times = torch.rand(len(clean))
    if not isinstance(module, LatentDiffusion):
        times = 1 - times.square()
    t = (times * schedule.config.num_train_timesteps).long().clamp(max=schedule.config.num_train_timesteps - 1)
    predicted = module.predict(schedule.add_noise(clean, noise, t), t, cond)
    error = predicted[:, : clean.shape[1]] - schedule.get_velocity(clean, noise, t)
    weight = F.interpolate(_weight(cond), size=clean.shape[2:])
    return (weight / weight.mean(dim=(1, 2, 3), keepdim=True) * error.square()).mean(dim=(1, 2, 3))


def _token_loss(module: Muse, tokens: Tensor, cond: Cond) -> Tensor:
    mask = draw_mask(tokens.shape, tokens.device)
    hidden = torch.where(mask, module.pipeline.scheduler.config.mask_token_id, tokens)
    size = torch.tensor([module.resolution, module.resolution, 0, 0, AESTHETIC_SCORE]).expand(len(tokens), -1)
    logits = module.backbone(hidden, cond["encoder_hidden_states"], cond["prompt_embeds"], size)
    # Of the cells that a token stands for, one with the subject is enough.
    weight = mask * F.adaptive_max_pool2d(_weight(cond), tokens.shape[1:])[:, 0]
    return (weight * F.cross_entropy(logits, tokens, reduction="none")).sum(dim=(1, 2)) / weight.sum(dim=(1, 2))


def _weight(cond: Cond) -> Tensor:
    return 1 + (EMPHASIS - 1) * cond["where"].float()[:, None]
