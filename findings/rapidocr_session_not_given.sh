#!/usr/bin/env bash
# RapidOCR reads a key `session` of each of its parts' settings, for an onnxruntime session of one's own, and nobody can
# give it one: what is given goes through OmegaConf, which takes no objects.
#
# Seen with rapidocr 3.10.0, onnxruntime 1.32.0:
#   read by the engine: True
#   given: UnsupportedValueType: Value 'InferenceSession' is not a supported primitive type
# Settings that it has no words for, such as `session.intra_op.allow_spinning`, which is a third of the CPU seconds on two
# cores, are out of reach. What this means here: the stage `Overlaid` puts a function of its own in the place of
# `SessionOptions` in the module that makes the sessions.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet rapidocr==3.10.0 onnxruntime==1.32.0
"$folder/venv/bin/python" - <<'PY' | tee "$folder/seen"
import inspect
from pathlib import Path

import onnxruntime
import rapidocr
from rapidocr.inference_engine.onnxruntime import main

(model,) = (Path(rapidocr.__file__).parent / "models").glob("*_det_*.onnx")
print("read by the engine:", 'cfg.get("session"' in inspect.getsource(main.OrtInferSession))
try:
    rapidocr.RapidOCR(params={"Det.session": onnxruntime.InferenceSession(str(model))})
    print("given: no error")
except Exception as error:
    print(f"given: {type(error).__name__}:", str(error).partition("\n")[0])
PY
grep -qx "read by the engine: True" "$folder/seen"
grep -qx "given: UnsupportedValueType: Value 'InferenceSession' is not a supported primitive type" "$folder/seen"
