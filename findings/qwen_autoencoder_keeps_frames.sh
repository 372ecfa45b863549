#!/usr/bin/env bash
# diffusers' AutoencoderKLQwenImage is one of videos: each of its causal convolutions keeps a copy of the last frames that
# went into it for those that follow. Pipelines give it pictures, of one frame, after which none follows. Decoding keeps a
# copy of every input all the same, until the picture is done: at the published sizes about ten times the weights.
# Without the cache, which the decoder takes as an argument, the picture is the same to the bit.
#
# Seen with diffusers 0.42.1, torch 2.13.0; the first by shapes alone, without memory, in float32:
#   1024x1024, published sizes: picture 12.6 MB, weights 507.6 MB, kept for later frames 4832.9 MB
#   a small one: kept 74752 bytes; without the cache the same to the bit: True
# What this means here: emu gives the encoder and decoder no cache (emu.models.latents.forget_frames).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 diffusers==0.42.1
"$folder/venv/bin/python" - <<'PY' 2> /dev/null | tee "$folder/seen"
import torch
from diffusers import AutoencoderKLQwenImage


def size(tensors):
    return sum(one.numel() * one.element_size() for one in tensors)


def decoded(vae, latents):
    """The picture, and the bytes in the decoder's cache when it is done."""
    kept = []

    def look(decoder, args, named, picture):
        kept.append(size(one for one in named["feat_cache"] if isinstance(one, torch.Tensor)))

    hook = vae.decoder.register_forward_hook(look, with_kwargs=True)
    picture = vae.decode(latents).sample
    hook.remove()
    return picture, kept


with torch.no_grad():
    with torch.device("meta"):
        vae, latents = AutoencoderKLQwenImage().eval(), torch.empty(1, 16, 1, 128, 128)
    picture, (kept,) = decoded(vae, latents)
    sides = "x".join(map(str, picture.shape[-2:]))
    sizes = [f"{one / 1e6:.1f} MB" for one in (size([picture]), size(vae.parameters()), kept)]
    print(f"{sides}, published sizes: picture {sizes[0]}, weights {sizes[1]}, kept for later frames {sizes[2]}")
    torch.manual_seed(0)
    small = {"base_dim": 8, "z_dim": 4, "dim_mult": [1, 2], "num_res_blocks": 1, "temperal_downsample": [False]}
    vae, latents = AutoencoderKLQwenImage(**small).eval(), torch.randn(1, 4, 1, 8, 8)
    picture, (kept,) = decoded(vae, latents)
    vae.decoder.register_forward_pre_hook(lambda _, args, named: (args, {**named, "feat_cache": None}), with_kwargs=True)
    same = torch.equal(vae.decode(latents).sample, picture)
    print(f"a small one: kept {kept} bytes; without the cache the same to the bit: {same}")
PY
diff - "$folder/seen" <<'WANTED'
1024x1024, published sizes: picture 12.6 MB, weights 507.6 MB, kept for later frames 4832.9 MB
a small one: kept 74752 bytes; without the cache the same to the bit: True
WANTED
