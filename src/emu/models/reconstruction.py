"""What models of pictures alone share, autoencoders and tokenizers: a loss of what they give back, and how good it is.

The paper's loss (arXiv 2309.15807, section 3.1): reconstruction, perceptual where there is a network for it, a penalty
of the model's own, and adversarial. Notable: critic and model share one backward pass and one optimizer. The model's
part of the loss goes through the critic's weights detached, the critic's part sees the pictures detached, so each gets
its own gradient alone.
"""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics.functional.image import structural_similarity_index_measure as ssim

from emu.batch import Cond, Pictures, Prompts, Validated
from emu.errors import UserError
from emu.module import TextToImageModule
from emu.parts.discriminator import Discriminator, balance, deceive, hinge
from emu.parts.perceptual import Perceptual


class Reconstruction(TextToImageModule):
    """A component of a pipeline that gives pictures back. What else is in the folder stays; all of it draws prompts.

    Args:
        pretrained: as in `TextToImageModule`, like all that is not named here.
        decoder_only: the encoder, and so what the model on its output has learned, stays as it is.
        perceptual: a folder or hub name of an image model of transformers; None for no perceptual term.
        perceptual_weight: of its distance beside the pixels' error.
        adversarial_weight: of the critic's opinion beside all else, where both pull equally hard; 0 for no critic.
        adversarial_start: the optimizer step at which the critic begins to learn and to be heard.
        critic_width: channels of its first layer.
    """

    reads_captions = False

    def __init__(
        self,
        pretrained: str,
        *,
        decoder_only: bool = False,
        perceptual: str | None = None,
        perceptual_weight: float = 1.0,
        adversarial_weight: float = 0.5,
        adversarial_start: int = 50_000,
        critic_width: int = 64,
        **kwargs: Any,
    ) -> None:
        super().__init__(pretrained, **kwargs)
        if self.adapter is not None:
            raise UserError(f"model.adapter: {type(self).__name__} trains whole layers alone; leave it out")
        if critic_width < 4 or critic_width % 4:
            raise UserError(f"model.critic_width {critic_width}: give a multiple of 4")
        self.decoder_only = decoder_only
        self.perceptual, self.perceptual_weight = perceptual, require_least("perceptual_weight", perceptual_weight)
        self.adversarial_weight = require_least("adversarial_weight", adversarial_weight)
        self.adversarial_start = require_least("adversarial_start", adversarial_start)
        if adversarial_weight:
            self.critic = Discriminator(critic_width)
        self._seen: Perceptual | None = None
        self._quality: list[Tensor] = []  # of each held-out batch: sums of PSNR and SSIM, and of how many

    # ---- what a subclass says

    @abstractmethod
    def reconstruct(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """float (b,3,h,w) in [-1,1] -> the backbone's rendering of them, with gradients, and what it costs, (b,)."""

    @abstractmethod
    def given_back(self, images: Tensor) -> Tensor:
        """As the average gives pictures back when nothing is drawn: float (b,3,h,w) in [-1,1]."""

    # ---- training

    def configure_model(self) -> None:
        """As its base's, and the perceptual network."""
        if "backbone" in self._modules:
            return
        super().configure_model()
        if self.decoder_only:
            network: Any = self.backbone
            for part in filter(None, (network.encoder, network.quant_conv)):
                part.requires_grad_(False)
        if self.perceptual:
            self._look_with(Perceptual(self.perceptual))
        else:
            rank_zero_info("model.perceptual is not given: the loss has no perceptual term")

    def _look_with(self, network: Perceptual) -> None:
        object.__setattr__(self, "_seen", network.requires_grad_(False).eval())  # frozen, so no child

    def frozen_parts(self) -> list[nn.Module]:
        """As its base's, and the perceptual network."""
        return [*super().frozen_parts(), *([self._seen] if self._seen else [])]

    def trained_parameters(self) -> Iterator[nn.Parameter]:
        """The backbone's and the critic's."""
        yield from (p for p in self.backbone.parameters() if p.requires_grad)
        if self.adversarial_weight:
            yield from self.critic.parameters()

    def encode_images(self, images: Tensor) -> Tensor:
        return images

    def loss(self, x: Tensor, cond: Cond) -> Tensor:
        made, cost = self.reconstruct(x)
        wanted = pixel_error(made, x)
        if self._seen is not None:
            wanted = wanted + self.perceptual_weight * self._seen(made, x)
        loss = wanted + cost
        if not torch.is_grad_enabled() or not self.adversarial_weight:  # a held-out picture, or no critic
            return loss
        return loss + self._opposition(wanted, made, x)

    def _opposition(self, wanted: Tensor, made: Tensor, real: Tensor) -> Tensor:
        if self.global_step < self.adversarial_start:
            return 0 * torch.stack([p.sum() for p in self.critic.parameters()]).sum()  # DDP waits for each gradient
        opposed = deceive(self.critic, made)
        last: Any = self.backbone.decoder
        share = balance(wanted.mean(), opposed.mean(), last.conv_out.weight)
        return self.adversarial_weight * share * opposed + hinge(self.critic, real, made)

    # ---- how well it reconstructs

    def validation_step(self, batch: Pictures | Prompts, batch_idx: int, dataloader_idx: int = 0) -> Validated:
        """As its base's; of held-out pictures PSNR and SSIM too."""
        validated = super().validation_step(batch, batch_idx, dataloader_idx)
        if "prompt" not in batch:
            images, real = batch["x"] if "x" in batch else batch["image"], batch["weight"] > 0
            made = self.given_back(images).float().clamp(-1, 1)
            pairs = made[real] / 2 + 0.5, images[real] / 2 + 0.5
            self._quality.append(torch.stack([psnr(*pairs).sum(), similarity(*pairs).sum(), real.sum()]))
        return validated

    def on_validation_epoch_end(self) -> None:
        """As its base's; PSNR and SSIM are means over all pictures on all devices."""
        super().on_validation_epoch_end()
        if self._quality:
            total = self.trainer.strategy.reduce(torch.stack(self._quality).sum(0), reduce_op="sum")
            self._quality.clear()
            for name, value in zip(("psnr", "ssim"), total[:2] / total[2], strict=True):
                self.log(name, value, sync_dist=True)
            rank_zero_info(f"reconstructions: PSNR {total[0] / total[2]:.2f} dB, SSIM {total[1] / total[2]:.3f}")


def require_least(name: str, value: float) -> float:
    """A weight or a step of the model's arguments. UserError: it is below 0."""
    if value < 0:
        raise UserError(f"model.{name} {value}: give 0 or more")
    return value


def pixel_error(made: Tensor, real: Tensor) -> Tensor:
    """Absolute error of the pixels and, at three scales, of what neighbours differ by: (b,).

    Without the second, which edges live by, a small autoencoder without a perceptual network leaves them soft.
    """
    difference = made - real
    error = difference.abs().mean(dim=(1, 2, 3))
    for _ in range(3):
        edges = [difference.diff(dim=axis).abs().mean(dim=(1, 2, 3)) for axis in (2, 3)]
        error = error + torch.stack(edges).mean(0)
        difference = F.avg_pool2d(difference, 2)
    return error


def psnr(made: Tensor, real: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of pictures in [0,1]: (b,)."""
    return -10 * (made - real).square().mean(dim=(1, 2, 3)).clamp(min=1e-10).log10()


def similarity(made: Tensor, real: Tensor) -> Tensor:
    """SSIM of pictures in [0,1]: (b,)."""
    if len(made) == 0:
        return made.new_zeros(0)
    with torch.autocast(made.device.type, enabled=False):  # a difference of squares, of which bfloat16 leaves nothing
        found: Any = ssim(made, real, data_range=1.0, reduction="none")
    return torch.as_tensor(found).reshape(-1)
