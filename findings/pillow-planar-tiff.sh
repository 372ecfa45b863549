#!/usr/bin/env bash
# Pillow 13.0.0: an uncompressed TIFF of 16 bits a channel whose colours lie in separate planes is opened without a word
# and comes out as noise. The same pixels compressed, or of 8 bits, or pixel by pixel, come out right. Output seen:
#   16 bits, separate planes, None: mode RGB, largest error 247 of 255
#   16 bits, separate planes, zlib: mode RGB, largest error 1 of 255
#   8 bits, separate planes, None: mode RGB, largest error 0 of 255
#   16 bits, pixel by pixel, None: mode RGB, largest error 1 of 255
# Its raw decoder is given the planes as "R", "G" and "B" of 8 bits each, whatever their depth. Exit 1 once that has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pillow==13.0.0 tifffile==2026.3.3 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import io

import numpy as np
import tifffile
from PIL import Image

down, across = np.mgrid[0:48, 0:64]
colours = np.stack([down / 48, across / 64, (down + across) / 112])
errors = {}
for bits, layout, compression in ((16, "separate", None), (16, "separate", "zlib"), (8, "separate", None), (16, "contig", None)):
    values = np.rint(colours * (2**bits - 1)).astype(f"uint{bits}")
    values = values if layout == "separate" else np.moveaxis(values, 0, -1)
    stream = io.BytesIO()
    tifffile.imwrite(stream, values, photometric="rgb", planarconfig=layout, compression=compression)
    whole = tifffile.imread(io.BytesIO(stream.getvalue()))
    assert (whole == values).all(), "the file itself is sound"
    image = Image.open(stream)
    error = round(np.abs(np.asarray(image) - np.moveaxis(colours, 0, -1) * 255).max())
    errors[bits, layout, compression] = error
    words = "separate planes" if layout == "separate" else "pixel by pixel"
    print(f"{bits} bits, {words}, {compression}: mode {image.mode}, largest error {error} of 255")
noise = errors.pop((16, "separate", None))
raise SystemExit(noise < 100 or max(errors.values()) > 1)
PYTHON
