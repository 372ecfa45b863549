"""What the models of the emoji run are built around, learned from the pool: text encoders, autoencoder, tokens."""

from pathlib import Path

import torch
from diffusers import AutoencoderKL
from emoji_pictures import read
from images import batches, through
from pretraining import progress
from small_networks import train_kl
from small_tokens import train_tokens
from torch.nn import functional as F
from untrained import teach_readers, untrained_autoencoder

from emu.bundled import resolve
from emu.errors import UserError

VOCABULARY = 2048  # of the byte-pair tokenizer: most words are then one token or two


def make_text_encoders(work: Path, *, steps: int) -> None:
    """The pool's captions -> WORK/clip and WORK/t5."""
    teach_readers(work, sorted({"", *read(work / "pool").captions}), steps=steps, vocabulary=VOCABULARY)


def make_autoencoder(work: Path, *, start: Path, steps: int) -> None:
    """WORK/vae, which goes on from `start`, the simulated web's, where that was made; else it begins from nothing."""
    vae = untrained_autoencoder()
    if start.exists():
        shape, vae = shape_of(vae), AutoencoderKL.from_pretrained(start)
        if shape_of(vae) != shape:
            raise UserError(f"--vae {start}: an autoencoder of another shape; make it again with make_bases.py vae")
    vae = vae.to(memory_format=torch.channels_last)
    progress("vae", train_kl(vae, batches(read(work / "pool").images, 16), steps=steps, lr=1e-3))
    vae.save_pretrained(work / "vae")
    needles = read(work / "needles").tensor()
    error = F.mse_loss(through(vae.eval(), needles), needles)
    print(f"vae: mean squared error {error:.4f} on the needles, whose pixels are in [0,1]", flush=True)


def shape_of(vae: AutoencoderKL) -> tuple[tuple[int, ...], int]:
    """Widths of its levels and channels of its latents."""
    return tuple(vae.config.block_out_channels), vae.config.latent_channels


def make_tokens(work: Path, *, steps: int) -> None:
    """WORK/vq, which goes on from the simulated web's."""
    train_tokens(work, read(work / "pool").images, steps=steps, start=resolve("emu://bases/muse"))
