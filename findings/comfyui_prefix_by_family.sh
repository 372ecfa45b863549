#!/usr/bin/env bash
# ComfyUI's checkpoints have `model.diffusion_model.` before the names of the network that draws. diffusers knows such a
# file of FLUX.1, Z-Image and Krea 2. Of Lumina 2 its converter takes the prefix off ("Comfy checkpoints add this prefix")
# after it has listed the names, and then asks for them by the old ones. Of FLUX.2 it tells the family by a name with the
# prefix, and leaves the prefix on. Here each converter is given one published name of its family, with and without it.
#
# Seen with diffusers 0.42.1, torch 2.14.1:
#   lumina2:  without: time_caption_embed.caption_embedder.0.weight   with: KeyError
#   flux2:    without: x_embedder.weight                              with: model.diffusion_model.x_embedder.weight
#   z-image:  without: cap_embedder.0.weight                          with: cap_embedder.0.weight
# What this means here: emu takes the prefix off before it converts a file, and writes these two families without it,
# as ComfyUI's own readers take them too.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.14.1 diffusers==0.42.1 transformers==5.24.0 accelerate
"$folder/venv/bin/python" - <<'PY' 2> /dev/null | tee "$folder/seen"
import torch
from diffusers.loaders.single_file_model import SINGLE_FILE_LOADABLE_CLASSES

FAMILIES = {
    "lumina2": ("Lumina2Transformer2DModel", "cap_embedder.0.weight", "time_caption_embed.caption_embedder.0.weight"),
    "flux2": ("Flux2Transformer2DModel", "img_in.weight", "x_embedder.weight"),
    "z-image": ("ZImageTransformer2DModel", "cap_embedder.0.weight", "cap_embedder.0.weight"),
}


def found(kind, name, wanted):
    try:
        made = SINGLE_FILE_LOADABLE_CLASSES[kind]["checkpoint_mapping_fn"](checkpoint={name: torch.ones(2, 2)})
    except KeyError:
        return "KeyError"
    return next((key for key in made if wanted in key), "nothing")


for family, (kind, name, wanted) in FAMILIES.items():
    print(f"{family}: without: {found(kind, name, wanted)} with: {found(kind, 'model.diffusion_model.' + name, wanted)}")
PY
diff - "$folder/seen" <<'WANTED'
lumina2: without: time_caption_embed.caption_embedder.0.weight with: KeyError
flux2: without: x_embedder.weight with: model.diffusion_model.x_embedder.weight
z-image: without: cap_embedder.0.weight with: cap_embedder.0.weight
WANTED
