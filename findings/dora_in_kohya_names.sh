#!/usr/bin/env bash
# A DoRA of a U-Net, written by diffusers in the names of kohya's sd-scripts, is a file that diffusers itself refuses, and
# that has no `dora_scale`, the name under which the programs that use these names look for DoRA's magnitudes. Renamed
# so, diffusers reads the file and leaves the magnitudes out: what draws is a LoRA that nobody trained.
#
# Seen with diffusers 0.42.1, peft 0.21.2, torch 2.13.0, transformers 5.24.0, on a U-Net with random weights:
#   written:           .alpha .lora_down.weight .lora_magnitude_vector .lora_up.weight
#   read again:        ValueError: The following keys have not been correctly renamed
#   with dora_scale:   _lora.down.weight _lora.up.weight
# `convert_state_dict_to_kohya` renames the magnitudes in a branch of an `elif` that a key with "unet" in it never comes
# to. What this means here: `emu export --format lora-kohya` refuses a DoRA.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 diffusers==0.42.1 peft==0.21.2 transformers==5.24.0 accelerate
"$folder/venv/bin/python" - <<'PY' | tee "$folder/seen"
import logging
from diffusers import UNet2DConditionModel
from diffusers.loaders import StableDiffusionLoraLoaderMixin
from diffusers.utils import convert_state_dict_to_kohya
from peft import LoraConfig, get_peft_model_state_dict

logging.disable(logging.WARNING)
unet = UNet2DConditionModel(
    block_out_channels=(32, 32), layers_per_block=1, cross_attention_dim=16, attention_head_dim=8,
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
)
unet.add_adapter(LoraConfig(r=4, lora_alpha=4, target_modules=["to_q"], use_dora=True))
written = convert_state_dict_to_kohya({f"unet.{name}": w for name, w in get_peft_model_state_dict(unet).items()})
renamed = {name.replace("lora_magnitude_vector", "dora_scale"): weight for name, weight in written.items()}


def ends(names):
    return " ".join(sorted({name.rpartition("to_q")[2] for name in names}))


print("written:", ends(written))
try:
    StableDiffusionLoraLoaderMixin.lora_state_dict(dict(written))
    print("read again: no error")
except ValueError as error:
    print("read again: ValueError:", str(error).partition(":")[0])
print("with dora_scale:", ends(StableDiffusionLoraLoaderMixin.lora_state_dict(dict(renamed))[0]))
PY
grep -qx "written: .alpha .lora_down.weight .lora_magnitude_vector .lora_up.weight" "$folder/seen"
grep -qx "read again: ValueError: The following keys have not been correctly renamed" "$folder/seen"
grep -qx "with dora_scale: _lora.down.weight _lora.up.weight" "$folder/seen"
