#!/usr/bin/env bash
# diffusers reads the text encoder of a PRX pipeline through a class that it hangs onto the module `transformers`, since
# transformers does not export T5GemmaEncoder by itself. transformers' `processing_utils` runs the package's `__init__`
# again and puts a new module under the same name, so what was hung onto the first one is gone by the time a folder is
# read: a plain script cannot load any PRX folder. Where `transformers.processing_utils` happens to be imported before
# diffusers' PRX, the same folder loads. And a folder that PRXPipeline itself has saved does not load even then: it holds
# the encoder's own config, of which the class takes the `encoder` part of a whole T5Gemma, at its default size.
#
# Seen with diffusers 0.42.1, transformers 5.24.0, torch 2.14.1, on a pipeline with random weights:
#   as published, plain script:               ValueError: `transformers` has no class `T5GemmaEncoder`
#   as published, processing_utils first:     loaded
#   as saved by it, processing_utils first:   RuntimeError
#   the module after processing_utils:        another one
# What this means here: emu reads networks one by one with the library's own class of that name, and its exports hold the
# base's config.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.14.1 diffusers==0.42.1 transformers==5.24.0 accelerate ftfy
cat > "$folder/save.py" <<'PY'
import json, sys
from pathlib import Path
from diffusers import FlowMatchEulerDiscreteScheduler, PRXPipeline, PRXTransformer2DModel
from transformers.models.t5gemma.configuration_t5gemma import T5GemmaModuleConfig
from transformers.models.t5gemma.modeling_t5gemma import T5GemmaEncoder

config = T5GemmaModuleConfig(
    vocab_size=64, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
    num_key_value_heads=1, head_dim=16, layer_types=["full_attention"], dropout_rate=0.0,
)
transformer = PRXTransformer2DModel(
    in_channels=4, patch_size=2, context_in_dim=32, hidden_size=32, mlp_ratio=2.0, num_heads=2, depth=1, axes_dim=[8, 8]
)
encoder = T5GemmaEncoder(config)
pipeline = PRXPipeline(transformer, FlowMatchEulerDiscreteScheduler(), encoder, tokenizer=None, vae=None)
for name in ("saved", "published"):
    pipeline.save_pretrained(Path(sys.argv[1], name))
# The published folders have the config of the whole model that the encoder is a part of.
path = Path(sys.argv[1], "published", "text_encoder", "config.json")
whole = {"architectures": ["T5GemmaEncoder"], "model_type": "t5gemma", "is_encoder_decoder": False}
path.write_text(json.dumps({**whole, "encoder": json.loads(path.read_text())}))
PY
cat > "$folder/load.py" <<'PY'
import sys
import warnings

warnings.simplefilter("ignore")
if sys.argv[2] == "processing_utils first":
    import transformers

    first = transformers
    import transformers.processing_utils

    print("the module after processing_utils:", "the same" if sys.modules["transformers"] is first else "another one")
from diffusers import PRXPipeline

try:
    PRXPipeline.from_pretrained(sys.argv[1], tokenizer=None, vae=None)
    seen = "loaded"
except Exception as error:
    seen = type(error).__name__ + (": " + str(error).partition(".")[0] if isinstance(error, ValueError) else "")
print(f"as {sys.argv[1].rpartition('/')[2]}, {sys.argv[2]}: {seen}")
PY
python=$folder/venv/bin/python
"$python" "$folder/save.py" "$folder" > /dev/null 2>&1
{
  "$python" "$folder/load.py" "$folder/published" "plain script" 2> /dev/null
  "$python" "$folder/load.py" "$folder/published" "processing_utils first" 2> /dev/null
  "$python" "$folder/load.py" "$folder/saved" "processing_utils first" 2> /dev/null
} | tee "$folder/seen"
grep -qx 'as published, plain script: ValueError: `transformers` has no class `T5GemmaEncoder`' "$folder/seen"
grep -qx "as published, processing_utils first: loaded" "$folder/seen"
grep -qx "as saved, processing_utils first: RuntimeError" "$folder/seen"
grep -qx "the module after processing_utils: another one" "$folder/seen"
