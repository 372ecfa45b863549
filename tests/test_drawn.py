"""What is not finite is no picture, and what is black all over counts as none."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from emu.compare import compare
from emu.compare.reading import read_run
from emu.data.pictures import decode
from emu.data.sources.openers import File
from emu.drawn import black, is_black, require_finite, to_pixels
from emu.errors import UserError
from emu.layouts import runs
from emu.quality.drawing import Drawing
from emu.quality.evidence import StepZero, judged
from lamp import Brightness

SIDES = {"before": 40, "after": 60}


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_picture_that_is_not_finite_is_an_error_that_names_its_prompt(bad: float) -> None:
    images = torch.full((2, 3, 4, 4), 0.5)
    images[1, 2, 3, 3] = bad
    with pytest.raises(UserError, match="the picture of 'a bird': the model drew numbers that are not finite"):
        to_pixels(images, ["a boat", "a bird"])
    with pytest.raises(UserError, match=r"b\.png: the encoder made"):
        require_finite(images, ["a.png", "b.png"], "the encoder made")


def test_a_picture_is_black_only_all_over() -> None:
    images = torch.zeros(3, 3, 4, 4)
    images[0, 0, 0, 0] = 0.6 / 255  # one level in one channel of one pixel
    images[1] = 0.4 / 255
    assert black(to_pixels(images, ["", "", ""])) == [False, True, True]


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "RGBA"])
@pytest.mark.parametrize("end", ["png", "webp"])
def test_a_black_file_is_known_in_any_mode(tmp_path: Path, mode: str, end: str) -> None:
    path = tmp_path / f"a.{end}"
    picture = Image.new("RGB", (2048, 2048))
    picture.convert(mode).save(path)
    assert is_black(path)
    picture.putpixel((2047, 5), (0, 255, 0))
    picture.convert("RGB").save(path, lossless=True)
    assert not is_black(path)
    path.write_text("no picture")
    assert not is_black(path)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_black_ink_on_a_clear_ground_is_a_drawing(tmp_path: Path, mode: str) -> None:
    """It is judged laid on white; opaque all over it is black."""
    clear, opaque = Image.new("RGBA", (8, 8)), Image.new("RGBA", (8, 8), (0, 0, 0, 255))
    half = clear.copy()
    half.paste((0, 0, 0, 255), (0, 0, 8, 4))
    for name, picture in (("clear", clear), ("half", half), ("opaque", opaque)):
        (picture.quantize(2) if mode == "P" else picture).convert(mode).save(tmp_path / f"{name}.png")
        assert (
            is_black(tmp_path / f"{name}.png") == (decoded(tmp_path / f"{name}.png").max() == 0) == (name == "opaque")
        )


def decoded(path: Path) -> "np.ndarray[Any, Any]":
    return np.asarray(decode(File(path), max_pixels=100))


def draw(folder: Path, light: int, dark: set[int], *, count: int = 4) -> Drawing:
    """A check whose picture i is grey of `light`, or black where i is in `dark`."""
    drawing = Drawing(folder, judges={"appeal": Brightness()}, sampler={})
    levels = torch.tensor([0.0 if i in dark else light / 255 for i in range(count)])
    batch = {"prompt": [f"prompt {i}" for i in range(count)], "seed": torch.arange(count), "index": torch.arange(count)}
    drawing.add(levels.view(-1, 1, 1, 1).expand(-1, 3, 8, 8), batch)
    return drawing


@pytest.mark.parametrize(("before", "after", "kept"), [(set(), {2}, 3), ({0}, {2}, 2), ({1}, {1}, 3)])
def test_black_pictures_win_and_lose_nothing_at_a_check(
    tmp_path: Path, before: set[int], after: set[int], kept: int
) -> None:
    base = StepZero.of(draw(tmp_path / "0", 40, before).finish(), {})
    now = draw(tmp_path / "1", 60, after).finish()
    check = judged(base, now, run=tmp_path, step=1, judges={"appeal": Brightness()}, guards=[])
    assert check.appeal is not None
    assert check.appeal.win == 100
    assert check.appeal.n == kept


def test_a_check_that_is_black_throughout_is_an_error(tmp_path: Path) -> None:
    base = StepZero.of(draw(tmp_path / "0", 40, set()).finish(), {})
    now = draw(tmp_path / "1", 60, {0, 1, 2, 3}).finish()
    with pytest.raises(UserError, match="all pictures of the check are black"):
        judged(base, now, run=tmp_path, step=1, judges={"appeal": Brightness()}, guards=[])


def a_run(run: Path, dark: dict[str, set[int]]) -> Path:
    for step, (side, light) in enumerate(SIDES.items()):
        folder, rows = runs.step_folder(run, step), []
        for i in range(3):
            level = 0 if i in dark[side] else light
            runs.save_picture(folder / runs.picture_name(i), np.full((8, 8, 3), level, np.uint8))
            rows.append({"file": runs.picture_name(i), "prompt": f"prompt {i}", "seed": i})
        runs.write_samples(folder, rows)
    return run


def test_a_comparison_leaves_out_and_counts_pairs_with_a_black_picture(tmp_path: Path) -> None:
    run = read_run(a_run(tmp_path / "run", {"before": {0}, "after": {0, 2}}))
    assert [pair.prompt for pair in run.pairs] == ["prompt 1"]
    assert (run.black, len(run.alone)) == (2, 0)
    assert "run: 2 pairs have a picture that is black all over" in compare([tmp_path / "run"], out=tmp_path / "a.html")
    with pytest.raises(UserError, match="every pair has a picture that is black all over"):
        read_run(a_run(tmp_path / "dark", {"before": {0, 1}, "after": {2}}))
