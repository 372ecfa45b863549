"""The autoencoder of a latent model, trained from nothing or further (arXiv 2309.15807, section 3.1)."""

import json
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from emu.models.latent import LatentDiffusion, LatentDiffusionXL
from emu.models.reconstruction import Reconstruction, require_least
from emu.objectives.draws import draw_posterior

MEMORY = 0.99  # of the latents' variance from step to step


class Autoencoder(Reconstruction, LatentDiffusion):
    """The `vae` of a Stable Diffusion pipeline.

    Args:
        pretrained: as in `Reconstruction`, like all that is not named here.
        kl_weight: of the divergence from a standard normal, a latent's number on average.
    """

    latent_square: Tensor  # what latents vary by, as it moves

    slot = "vae"

    def __init__(self, pretrained: str, *, kl_weight: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(pretrained, noise_offset=0.0, min_snr_gamma=None, **kwargs)
        self.kl_weight = require_least("kl_weight", kl_weight)
        self.register_buffer("latent_square", torch.ones(()))

    def configure_model(self) -> None:
        """As its base's; latents begin at the scale that the folder says."""
        if "backbone" in self._modules:
            return
        super().configure_model()
        self.latent_square.fill_(self.pipeline.vae.config.scaling_factor**-2.0)

    def reconstruct(self, images: Tensor) -> tuple[Tensor, Tensor]:
        vae: Any = self.backbone
        posterior = vae.encode(images).latent_dist
        if torch.is_grad_enabled():
            self._remember(posterior.mean)
        made: Tensor = vae.decode(draw_posterior(posterior.parameters)).sample
        return made, self.kl_weight * posterior.kl() / posterior.mean[0].numel()

    def given_back(self, images: Tensor) -> Tensor:
        vae: Any = self.ema
        made: Tensor = vae.decode(vae.encode(images).latent_dist.mode()).sample
        return made

    # ---- what the latent model goes by

    @torch.no_grad()
    def _remember(self, latents: Tensor) -> None:
        if not self.decoder_only:
            latents = latents.float()  # in mixed precision they are not
            square = (latents - latents.mean()).square().mean()
            if dist.is_available() and dist.is_initialized():  # one scale, whichever device saves it
                dist.all_reduce(square.div_(dist.get_world_size()))
            self.latent_square.lerp_(square, 1 - MEMORY)

    def on_validation_start(self) -> None:
        """Prompts are drawn, and the model is saved, with latents of unit variance."""
        self._scale()

    def write_changed(self, folder: Path) -> None:
        """As its base's, and the scale of the latents in the description."""
        self._scale()
        super().write_changed(folder)
        description = folder / self.slot / "config.json"
        document = json.loads(description.read_text())
        document["scaling_factor"] = self.pipeline.vae.config.scaling_factor
        description.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")

    def _scale(self) -> None:
        if not self.decoder_only:
            self.pipeline.vae.register_to_config(scaling_factor=float(self.latent_square**-0.5))


class AutoencoderXL(Autoencoder, LatentDiffusionXL):
    """The `vae` of an SDXL pipeline."""
