"""Thumbnails: made once, and what is transparent is as white as in training."""

import io
import json
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy", reason="the extra `desk` is not installed")

import numpy as np
from PIL import Image

from emu.desk.review.pictures import Candidate, read_pictures
from emu.desk.review.thumbnails import thumbnail, whole
from emu.errors import UserError


def picture(folder: Path, file: str, image: Image.Image) -> Candidate:
    """The one picture of a folder."""
    (folder / "images").mkdir()
    image.save(folder / file)
    (folder / "metadata.jsonl").write_text(json.dumps({"file_name": file, "text": "a square"}) + "\n")
    return next(iter(read_pictures(folder).values()))


def square() -> Image.Image:
    """Green in the middle; around it transparent, and black below that."""
    image = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    image.paste((0, 200, 0, 255), (10, 10, 30, 30))
    return image


@pytest.mark.parametrize("file", ["images/a.png", "images/a.webp", "images/a.tif"])
def test_what_is_transparent_lies_on_white(tmp_path: Path, file: str) -> None:
    shown = picture(tmp_path, file, square())
    pixels = np.asarray(Image.open(io.BytesIO(thumbnail(tmp_path, shown))).convert("RGB")).astype(int)
    assert abs(pixels[2, 2] - 255).max() < 8
    assert abs(pixels[20, 20] - [0, 200, 0]).max() < 24
    content, kind = whole(tmp_path, shown)
    if kind == "image/png" and not file.endswith("png"):
        assert Image.open(io.BytesIO(content)).convert("RGB").getpixel((2, 2)) == (255, 255, 255)


def test_a_palette_with_a_clear_colour_lies_on_white(tmp_path: Path) -> None:
    image = Image.new("P", (40, 40), 0)
    image.putpalette([0, 0, 0, 0, 200, 0])
    image.paste(1, (10, 10, 30, 30))
    image.info["transparency"] = 0
    shown = picture(tmp_path, "images/a.png", image)
    pixels = np.asarray(Image.open(io.BytesIO(thumbnail(tmp_path, shown))).convert("RGB")).astype(int)
    assert abs(pixels[2, 2] - 255).max() < 8


def test_a_thumbnail_is_made_once(tmp_path: Path) -> None:
    shown = picture(tmp_path, "images/a.png", square())
    first = thumbnail(tmp_path, shown)
    (tmp_path / shown.file).unlink()
    assert thumbnail(tmp_path, shown) == first
    with pytest.raises(UserError, match="gone"):
        whole(tmp_path, shown)
