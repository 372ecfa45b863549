"""The tokenizer of a masked model, a quantised autoencoder (VQGAN), trained from nothing or further.

van den Oord et al. 2017, arXiv 1711.00937; Esser et al. 2021, arXiv 2012.09841.
"""

from typing import Any

import torch
from einops import rearrange
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from emu.batch import Pictures, Prompts, Validated
from emu.models.muse import Muse
from emu.models.reconstruction import Reconstruction, require_least
from emu.parts.codebook import Codebook


class Tokenizer(Reconstruction, Muse):
    """The `vqvae` of an aMUSEd pipeline, whose codes follow what they stand for (`emu.parts.codebook`).

    With `decoder_only` tokens mean what they meant, and a masked model on them draws sharper without being touched.

    Args:
        pretrained: as in `Reconstruction`, like all that is not named here.
        commitment: weight of the distance of latents from their codes.
    """

    slot = "vqvae"

    def __init__(self, pretrained: str, *, commitment: float = 0.25, **kwargs: Any) -> None:
        super().__init__(pretrained, **kwargs)
        self.commitment = require_least("commitment", commitment)
        self._used: list[Tensor] = []  # of each held-out batch: how often each code occurs

    def configure_model(self) -> None:
        """As its base's; the codes are no parameters of the optimizer's."""
        if "backbone" in self._modules:
            return
        super().configure_model()
        codes = self._codes(self.backbone).requires_grad_(False)
        if not self.decoder_only:
            self.codebook = Codebook(*codes.shape)

    def reconstruct(self, images: Tensor) -> tuple[Tensor, Tensor]:
        vqvae: Any = self.backbone
        latents = vqvae.encode(images / 2 + 0.5).latents
        if torch.is_grad_enabled() and not self.decoder_only:
            self._follow(latents)
        made, codes = self._through(vqvae, latents)
        return made, self.commitment * (latents - codes).square().mean(dim=(1, 2, 3))

    def given_back(self, images: Tensor) -> Tensor:
        vqvae: Any = self.ema
        made, _ = self._through(vqvae, vqvae.encode(images / 2 + 0.5).latents)
        return made

    def _through(self, vqvae: Any, latents: Tensor) -> tuple[Tensor, Tensor]:
        """The pictures, with the gradient of codes for the latents they replace, and the codes, (b,c,h,w)."""
        codes = vqvae.quantize(latents)[0].detach()
        passed = latents + (codes - latents).detach()
        spatial = passed if vqvae.config.norm_type == "spatial" else None
        made: Tensor = vqvae.decoder(vqvae.post_quant_conv(passed), spatial)
        return made * 2 - 1, codes

    @torch.no_grad()
    def _follow(self, latents: Tensor) -> None:
        if self._trainer is None:  # of `emu plan`, whose latents have no values to follow
            return
        strategy = self.trainer.strategy
        codes = self.codebook.follow(
            self._codes(self.backbone).detach().float(),
            rearrange(latents, "b c h w -> (b h w) c").float(),
            add=lambda some: strategy.reduce(some, reduce_op="sum"),
            same=lambda some: strategy.broadcast(some),
        )
        for network in (self.backbone, self.ema):  # they are a moving mean already
            self._codes(network).copy_(codes)

    @staticmethod
    def _codes(vqvae: Any) -> Tensor:
        codes: Tensor = vqvae.quantize.embedding.weight
        return codes

    # ---- how many codes are used

    def validation_step(self, batch: Pictures | Prompts, batch_idx: int, dataloader_idx: int = 0) -> Validated:
        """As its base's; of held-out pictures how often each code occurs too."""
        validated = super().validation_step(batch, batch_idx, dataloader_idx)
        if "prompt" not in batch:
            images, real = batch["x"] if "x" in batch else batch["image"], batch["weight"] > 0
            tokens = Muse.encode_images(self, images)[real]
            self._used.append(torch.bincount(tokens.flatten(), minlength=len(self._codes(self.ema))))
        return validated

    def on_validation_epoch_end(self) -> None:
        """As its base's; codes that occur, and as how many even ones they count (perplexity)."""
        super().on_validation_epoch_end()
        if self._used:
            number = self.trainer.strategy.reduce(torch.stack(self._used).sum(0), reduce_op="sum")
            self._used.clear()
            shares = number / number.sum()
            used, even = (number > 0).sum().float(), torch.special.entr(shares).sum().exp()
            self.log("codes_used", used, sync_dist=True)
            self.log("codes_perplexity", even, sync_dist=True)
            rank_zero_info(f"tokens: {used:.0f} of {len(number)} codes used, as many as {even:.0f} even ones")
