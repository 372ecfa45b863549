#!/usr/bin/env bash
# transformers writes a T5's embedding once, as `shared.weight`; its second name, `encoder.embed_tokens.weight`, is tied
# to it and left out. A single file of SD3 whose T5 was written so is loaded by diffusers' from_single_file without an
# error or a warning, and its T5 cannot read a prompt: the embedding under the second name stays on the meta device. The
# same weights in a folder load and read. The published files of SD3 hold both names.
#
# Seen with diffusers 0.42.1, transformers 5.24.0, torch 2.14.1, accelerate 1.15.0, on an encoder with random weights:
#   both names:                  loaded, the embedding on cpu, read a prompt
#   as transformers writes it:   loaded, the embedding on meta, RuntimeError
# What this means here: emu writes the embedding under both names, and reads files with either.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.14.1 diffusers==0.42.1 transformers==5.24.0 accelerate
"$folder/venv/bin/python" - "$folder" <<'PY' 2> /dev/null | tee "$folder/seen"
import sys

import torch
from diffusers.loaders.single_file_utils import create_diffusers_t5_model_from_checkpoint
from safetensors.torch import load_file
from transformers import T5Config, T5EncoderModel

SECOND = "encoder.embed_tokens.weight"
config = T5Config(vocab_size=64, d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
T5EncoderModel(config).save_pretrained(sys.argv[1])
written = load_file(f"{sys.argv[1]}/model.safetensors")
both = written | {SECOND: written["shared.weight"]}
assert SECOND not in written
for name, state in (("both names", both), ("as transformers writes it", written)):
    file = {f"text_encoders.t5xxl.transformer.{key}": weight.clone() for key, weight in state.items()}
    encoder = create_diffusers_t5_model_from_checkpoint(
        T5EncoderModel, file, config=sys.argv[1], torch_dtype=torch.float32, local_files_only=True
    )
    try:
        encoder(torch.tensor([[1, 2, 3]]))
        read = "read a prompt"
    except RuntimeError:
        read = "RuntimeError"
    print(f"{name}: loaded, the embedding on {encoder.encoder.embed_tokens.weight.device}, {read}")
PY
diff - "$folder/seen" <<'WANTED'
both names: loaded, the embedding on cpu, read a prompt
as transformers writes it: loaded, the embedding on meta, RuntimeError
WANTED
