#!/usr/bin/env bash
# diffusers' LongCat-Image pipeline takes `prompt_embeds`, and says so, but cannot draw from them: its encode_prompt counts
# the prompts before it looks for embeddings, and there are none beside them (it refuses both). Its own comment reads "If
# prompt_embeds is provided and prompt is None, skip encoding". And by default a prompt is first rewritten by the text
# encoder, embeddings or not, so that even the call that would be refused later spends its time there.
#
# Seen with diffusers 0.42.1, transformers 5.24.0, torch 2.14.1, on a pipeline with random weights:
#   prompt_embeds alone:                   TypeError: object of type 'NoneType' has no len()
#   prompt_embeds and as many "" prompts:  ValueError: Cannot forward both
# What this means here: emu draws from what it has encoded or cached, so it hands encode_prompt an empty prompt for each
# embedding (emu.models.longcat_image), and turns the rewriting off.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.14.1 diffusers==0.42.1 transformers==5.24.0 accelerate
"$folder/venv/bin/python" - <<'PY' 2> /dev/null | tee "$folder/seen"
import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler
from diffusers import LongCatImagePipeline, LongCatImageTransformer2DModel

pipeline = LongCatImagePipeline(
    scheduler=FlowMatchEulerDiscreteScheduler(),
    vae=AutoencoderKL(latent_channels=16, block_out_channels=(8, 8), norm_num_groups=4, shift_factor=0.1,
                      down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2),
    text_encoder=None, tokenizer=None, text_processor=None,
    transformer=LongCatImageTransformer2DModel(in_channels=64, num_layers=1, num_single_layers=1, attention_head_dim=16,
        num_attention_heads=2, joint_attention_dim=32, pooled_projection_dim=32, axes_dims_rope=[4, 6, 6]),
)
embeds = torch.randn(1, 512, 32)
given = {"prompt_embeds": embeds, "negative_prompt_embeds": embeds, "enable_prompt_rewrite": False}
for name, prompt in (("prompt_embeds alone", None), ('prompt_embeds and as many "" prompts', [""])):
    try:
        pipeline(prompt, height=32, width=32, num_inference_steps=1, **given)
        print(f"{name}: drawn")
    except (TypeError, ValueError) as error:
        print(f"{name}: {type(error).__name__}: {str(error).partition(' `')[0]}")
PY
diff - "$folder/seen" <<'WANTED'
prompt_embeds alone: TypeError: object of type 'NoneType' has no len()
prompt_embeds and as many "" prompts: ValueError: Cannot forward both
WANTED
