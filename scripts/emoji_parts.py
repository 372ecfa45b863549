"""What the models of the emoji run are built around, learned from the pool: text encoders, autoencoder, tokens."""

from functools import partial
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from emoji_pictures import SIDE, read
from images import batches, through
from pretraining import progress
from small_networks import clip_text_model, kl_autoencoder, t5_encoder, train_kl, train_vq, vq_from
from torch.nn import functional as F
from untrained import CODES, LATENT_CHANNELS, RECIPES, TOKENS, VAE_WIDTHS, WIDTH

from emu.errors import UserError
from emu.parts.text_encoder import learn_words, pooled
from emu.parts.tokenizer import clip_tokenizer, t5_tokenizer

VOCABULARY = 2048  # of the byte-pair tokenizer: most words are then one token or two


def make_text_encoders(work: Path, *, steps: int) -> None:
    """The pool's captions -> WORK/clip, clip_tokenizer, t5 and t5_tokenizer."""
    captions = sorted({"", *read(work / "pool").captions})
    clip = clip_tokenizer(captions, vocab_size=VOCABULARY, max_length=TOKENS)
    encoder = clip_text_model(clip, width=WIDTH, layers=2)
    found = learn_words(pooled(clip, encoder), encoder, captions, steps=steps)
    print(f"clip finds {100 * found:.1f} % of a caption's words", flush=True)
    clip.save_pretrained(work / "clip_tokenizer")
    encoder.save_pretrained(work / "clip")
    t5 = t5_tokenizer(captions)
    t5_model = t5_encoder(t5, width=WIDTH, layers=2)
    found = learn_words(pooled(t5, t5_model), t5_model, captions, steps=steps)
    print(f"t5 finds {100 * found:.1f} % of a caption's words", flush=True)
    t5.save_pretrained(work / "t5_tokenizer")
    t5_model.save_pretrained(work / "t5")


def make_autoencoder(work: Path, *, start: Path, steps: int) -> None:
    """WORK/vae, which goes on from `start`, the simulated web's, where that was made; else it begins from nothing."""
    vae = AutoencoderKL.from_pretrained(start) if start.exists() else new_autoencoder()
    if (tuple(vae.config.block_out_channels), vae.config.latent_channels) != (VAE_WIDTHS, LATENT_CHANNELS):
        raise UserError(f"--vae {start}: an autoencoder of another shape; make it again with make_bases.py vae")
    vae = vae.to(memory_format=torch.channels_last)
    progress("vae", train_kl(vae, batches(read(work / "pool").images, 16), steps=steps, lr=1e-3))
    vae.save_pretrained(work / "vae")
    needles = read(work / "needles").tensor()
    error = F.mse_loss(through(vae.eval(), needles), needles)
    print(f"vae: mean squared error {error:.4f} on the needles, whose pixels are in [0,1]", flush=True)


def new_autoencoder() -> AutoencoderKL:
    """Untrained, of the shape that the untrained latent diffusion takes."""
    return kl_autoencoder(VAE_WIDTHS, latent_channels=LATENT_CHANNELS, sample_size=SIDE)


def make_tokens(work: Path, *, steps: int) -> None:
    """WORK/vq, from the autoencoder, for pictures of the side that the masked model draws."""
    side = RECIPES["muse"].side
    small = partial(F.interpolate, size=(side, side), mode="area")
    images = (small(batch) for batch in batches(read(work / "pool").images, 16, seed=1))
    vq = vq_from(AutoencoderKL.from_pretrained(work / "vae"), CODES, images).to(memory_format=torch.channels_last)
    progress("vq", train_vq(vq, images, steps=steps))
    vq.save_pretrained(work / "vq")
