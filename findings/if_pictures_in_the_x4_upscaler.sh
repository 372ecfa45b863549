#!/usr/bin/env bash
# The three stages of DeepFloyd IF in diffusers' own example hand tensors on (output_type="pt"). Those of IF's pipelines
# lie in [-1,1], unlike all others'. The last stage, StableDiffusionUpscalePipeline, guesses the range of a tensor from
# the least number of its batch: where no number is negative it takes [0,1] for the range, and doubles the contrast. So a
# picture without a value under mid-grey (snow, a high-key portrait) is enlarged from another picture than the one that
# stage II drew, without a word; and what it is enlarged from depends on the pictures beside it in the batch.
#
# Seen with diffusers 0.42.1, torch 2.14.1, on what the upscaler's own image processor makes of a tensor in [-1,1]:
#   a picture with a dark value:       as it was, 0.0000 apart
#   a bright picture:                  0.7500 apart
#   the bright one beside a dark one:  as it was, 0.0000 apart
# What this means here: stages meet in 8-bit pictures, and emu gives that pipeline tensors in [0,1].
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.14.1 diffusers==0.42.1 transformers==5.24.0 accelerate
cat > "$folder/stages.py" <<'PY'
import warnings

import torch
from diffusers import AutoencoderKL, DDPMScheduler, StableDiffusionUpscalePipeline

warnings.simplefilter("ignore")
vae = AutoencoderKL(
    block_out_channels=(8, 8, 8), norm_num_groups=4,
    down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
)
pipeline = StableDiffusionUpscalePipeline(vae, None, None, None, DDPMScheduler(), DDPMScheduler())
bright = torch.full((1, 3, 8, 8), 0.25)  # as IFSuperResolutionPipeline gives it with output_type="pt"
dark = bright.clone()
dark[..., 0, 0] = -0.5


def apart(given, picture):
    found = pipeline.image_processor.preprocess(given)[:1]
    difference = (found - picture).abs().max().item()
    return f"{'as it was, ' * (difference == 0)}{difference:.4f} apart"


print("a picture with a dark value:      ", apart(dark, dark))
print("a bright picture:                 ", apart(bright, bright))
print("the bright one beside a dark one: ", apart(torch.cat([bright, dark]), bright))
PY
"$folder/venv/bin/python" "$folder/stages.py" 2> "$folder/said" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN'
a picture with a dark value:       as it was, 0.0000 apart
a bright picture:                  0.7500 apart
the bright one beside a dark one:  as it was, 0.0000 apart
SEEN
