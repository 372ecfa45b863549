#!/usr/bin/env bash
# HiDream-I1's transformer, loaded as diffusers' own training script for it loads it (examples/dreambooth/
# train_dreambooth_lora_hidream.py, force_inference_output=True), gives no gradient to its routed experts nor to the
# gates that choose them, and lets none through: they are computed under torch.no_grad in that mode, though the network
# trains. What lies before an expert learns by its other paths alone. Nothing says so; the loss falls all the same.
#
# Seen with diffusers 0.42.1, torch 2.14.1, on a transformer of one block of each kind with random weights:
#   force_inference_output=False: parameters without a gradient: 0
#   force_inference_output=True: parameters without a gradient: 14, all of experts and gates
# The flag is there since without it the network, while it trains, gives its output in another order of axes. What this
# means here: emu sets it on the outermost module alone, whose output it is about, and leaves the experts' own switch.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.14.1 diffusers==0.42.1 transformers==5.24.0 accelerate
"$folder/venv/bin/python" - <<'PY' | tee "$folder/seen"
import torch
from diffusers import HiDreamImageTransformer2DModel

for flag in (False, True):
    torch.manual_seed(0)
    network = HiDreamImageTransformer2DModel(
        patch_size=2, in_channels=4, out_channels=4, num_layers=1, num_single_layers=1, attention_head_dim=16,
        num_attention_heads=2, caption_channels=[32, 32], text_emb_dim=32, num_routed_experts=2,
        num_activated_experts=1, axes_dims_rope=(4, 6, 6), max_resolution=(32, 32), llama_layers=[0, 1],
        force_inference_output=flag,
    ).train()
    output = network(
        torch.randn(1, 4, 8, 8), timesteps=torch.tensor([500.0]), encoder_hidden_states_t5=torch.randn(1, 6, 32),
        encoder_hidden_states_llama3=torch.randn(2, 1, 6, 32), pooled_embeds=torch.randn(1, 32), return_dict=False,
    )[0]
    output.square().mean().backward()
    without = [name for name, weight in network.named_parameters() if weight.grad is None]
    kinds = ", all of experts and gates" if without and all(".experts." in n or ".gate." in n for n in without) else ""
    print(f"force_inference_output={flag}: parameters without a gradient: {len(without)}{kinds}")
PY
grep -qx "force_inference_output=False: parameters without a gradient: 0" "$folder/seen"
grep -qx "force_inference_output=True: parameters without a gradient: 14, all of experts and gates" "$folder/seen"
