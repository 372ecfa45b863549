#!/usr/bin/env bash
# bitsandbytes keeps a scale for 64 neighbours of a flattened weight. Its quantize_4bit of a matrix whose rows are no
# multiple of 64 is right: the codes times the scales are near the weight. Its dequantize_4bit of the same codes on a CPU
# is not: some weights get a neighbour's scale. The same codes as rows of 64 come out right.
#
# Seen with bitsandbytes 0.50.2, torch 2.14.1 on a processor with AVX-512, for rows of 96, 160 and 2592 numbers. The error
# is the root mean square of the difference, by that of the weight:
#   128: by hand 0.1, dequantize_4bit 0.1, as rows of 64 0.1
#   96: by hand 0.1, dequantize_4bit 0.2, as rows of 64 0.1
# What this means here: emu unpacks every weight as rows of 64 (emu.networks.nf4).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.14.1 bitsandbytes==0.50.2
"$folder/venv/bin/python" - <<'PY' 2> /dev/null | tee "$folder/seen"
import torch
from bitsandbytes import functional as bnb

torch.manual_seed(0)
for width in (128, 96):
    weight = torch.randn(640, width)
    packed, state = bnb.quantize_4bit(weight, quant_type="nf4", blocksize=64)
    codes = torch.stack([packed.flatten() >> 4, packed.flatten() & 15], 1).flatten().long()
    by_hand = (state.code[codes].view(-1, 64) * state.absmax[:, None]).view_as(weight)
    theirs = bnb.dequantize_4bit(packed, state)
    state.shape = torch.Size((weight.numel() // 64, 64))
    in_rows = bnb.dequantize_4bit(packed, state).view_as(weight)
    error = [f"{((one - weight).square().mean() / weight.square().mean()).sqrt():.1f}" for one in (by_hand, theirs, in_rows)]
    print(f"{width}: by hand {error[0]}, dequantize_4bit {error[1]}, as rows of 64 {error[2]}")
PY
diff - "$folder/seen" <<'WANTED'
128: by hand 0.1, dequantize_4bit 0.1, as rows of 64 0.1
96: by hand 0.1, dequantize_4bit 0.2, as rows of 64 0.1
WANTED
