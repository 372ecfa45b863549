#!/usr/bin/env bash
# The first model, tokenizer or config that is taken from transformers reads the source of every model twice.
#
# `import transformers` opens each Python file under its `models` once, to learn what is there. The first class of a
# model that is asked for imports `transformers.models`, which asks for the same again. The answers are kept in an
# `lru_cache` of 128 entries, by folder; there are 561 folders, walked in the same order each time, so every entry is
# gone before it is asked for: 0 hits, 1,122 misses. Were all entries kept, the second walk would open nothing.
#
# Seen with transformers 5.24.0, without torch (the same with it):
#   opened by import: 1698 of 1698 files   by then: 3411 times, each file at least twice   hits: 0   misses: 1122
#   opened when walked twice with all entries kept: 1698 0
# What this means here: a part of the CPU seconds that every command takes to start is this second reading.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet transformers==5.24.0
"$folder/venv/bin/python" - <<'PY' 2>/dev/null | tee "$folder/seen"
import collections
import functools
import os
import sys

opened = collections.Counter()
MODELS = f"{os.sep}transformers{os.sep}models{os.sep}"


def count(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and MODELS in arguments[0] and arguments[0].endswith(".py"):
        opened[arguments[0]] += 1


sys.addaudithook(count)
import transformers
from transformers.utils import import_utils as reading

first = sum(opened.values())
from transformers import CLIPConfig

cache = reading.create_import_structure_from_path.cache_info()
print(f"opened by import: {first} of {len(opened)} files   by then: {sum(opened.values())} times, "
      f"each file at least {min(opened.values())} times   hits: {cache.hits}   misses: {cache.misses}")

walk = reading.create_import_structure_from_path = functools.lru_cache(None)(
    reading.create_import_structure_from_path.__wrapped__
)
models = os.path.join(os.path.dirname(transformers.__file__), "models")
times = []
for path in (models, models + os.sep):  # two spellings, as transformers has two
    before = sum(opened.values())
    walk(path)
    times.append(sum(opened.values()) - before)
print("opened when walked twice with all entries kept:", *times)
PY
grep -q "each file at least 2 times   hits: 0   misses: 1122" "$folder/seen"
grep -qx "opened when walked twice with all entries kept: 1698 0" "$folder/seen"
