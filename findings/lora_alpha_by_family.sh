#!/usr/bin/env bash
# One LoRA layout, four families, two behaviours. In the names that ComfyUI reads (`diffusion_model.` and the model's
# published names, `.lora_A.weight`, `.lora_B.weight` and a scalar `.alpha` beside them), diffusers folds alpha over the
# rank into A for Z-Image and Qwen-Image, and refuses the very same file for FLUX.2 and Krea 2, whose converters leave
# the alpha over and end in an error that names it. Without `.alpha` all four are read, at a strength of alpha = rank.
#
# Seen with diffusers 0.42.1, peft 0.21.2, torch 2.13.0, transformers 5.24.0; A and B of ones, rank 2, alpha 1:
#   z-image: 0.5   qwen-image: 0.5   flux2: ValueError   krea2: ValueError   (all four without alpha: 1.0)
# What this means here: emu reads such files by its own reader, whatever the family, and folds alpha in for all of them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 diffusers==0.42.1 peft==0.21.2 transformers==5.24.0 accelerate
"$folder/venv/bin/python" - <<'PY' | tee "$folder/seen"
import logging

import torch
from diffusers.loaders import lora_pipeline

logging.disable(logging.WARNING)
LAYERS = {
    "z-image": ("ZImageLoraLoaderMixin", "layers.0.attention.to_out.0"),
    "qwen-image": ("QwenImageLoraLoaderMixin", "transformer_blocks.0.attn.to_q"),
    "flux2": ("Flux2LoraLoaderMixin", "double_blocks.0.img_attn.proj"),
    "krea2": ("Krea2LoraLoaderMixin", "blocks.0.attn.wo"),
}


def first_of_a(mixin, layer, alpha):
    name = f"diffusion_model.{layer}"
    state = {f"{name}.lora_A.weight": torch.ones(2, 4), f"{name}.lora_B.weight": torch.ones(4, 2)}
    if alpha:
        state[f"{name}.alpha"] = torch.tensor(1.0)
    try:
        found = getattr(lora_pipeline, mixin).lora_state_dict(state)
    except ValueError as error:
        return f"ValueError, alpha left over: {'.alpha' in str(error)}"
    found = found[0] if isinstance(found, tuple) else found
    return next(float(weight[0, 0]) for key, weight in found.items() if "lora_A" in key)


for family, (mixin, layer) in LAYERS.items():
    print(f"{family}: without alpha {first_of_a(mixin, layer, False)}, with {first_of_a(mixin, layer, True)}")
PY
diff - "$folder/seen" <<'WANTED'
z-image: without alpha 1.0, with 0.5
qwen-image: without alpha 1.0, with 0.5
flux2: without alpha 1.0, with ValueError, alpha left over: True
krea2: without alpha 1.0, with ValueError, alpha left over: True
WANTED
