"""Curated sets made on the spot: small, real picture files."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image


def draw(path: Path, size: tuple[int, int], *, seed: int = 0) -> None:
    """A noisy picture of (width, height); `seed` decides every pixel."""
    width, height = size
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def make_folder(root: Path, sizes: Sequence[tuple[int, int]]) -> Path:
    """`root/needles` with a picture of each (width, height): `0.png` with the caption `number 0`, and so on."""
    folder = root / "needles"
    folder.mkdir()
    rows = []
    for i, size in enumerate(sizes):
        draw(folder / f"{i}.png", size, seed=i)
        rows.append(json.dumps({"file_name": f"{i}.png", "text": f"number {i}", "source": "noise"}))
    (folder / "metadata.jsonl").write_text("\n".join(rows) + "\n")
    return folder
