"""Colour and contrast of all pictures, before and after: known changes are found, and said in words."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from emu.compare import compare
from emu.guards.looks import colours
from emu.layouts import runs

MakeRun = Callable[..., Path]


@pytest.mark.parametrize(
    ("pixels", "wanted"),
    [
        (np.zeros((4, 4, 3)), (0, 0, 0)),
        (np.full((4, 4, 3), 255), (1, 0, 0)),
        (np.stack([np.zeros((4, 3)), np.full((4, 3), 255)]), (0.5, 0.5, 0)),
        (np.broadcast_to([0, 255, 0], (4, 4, 3)), (0.7152, 0, 1)),
    ],
    ids=["black", "white", "half and half", "green"],
)
def test_measures_of_known_pictures(pixels: np.ndarray, wanted: tuple[float, float, float]) -> None:
    assert tuple(colours(pixels.astype(np.uint8))) == pytest.approx(wanted, abs=1e-4)


def change(run: Path, how: Callable[[np.ndarray], np.ndarray]) -> None:
    """Draw step 20 as step 0 changed by `how`, on noise of 0 to 1."""
    rng = np.random.default_rng(0)
    for row in runs.read_samples(runs.step_folder(run, 0)):
        noise = 0.4 + 0.1 * rng.random((16, 16, 3)) + 0.05 * rng.random()
        for step, picture in ((0, noise), (20, how(noise))):
            pixels = (picture.clip(0, 1) * 255).astype(np.uint8)
            Image.fromarray(pixels).save(runs.step_folder(run, step) / row["file"])


@pytest.mark.parametrize(
    ("how", "noted"),
    [
        (lambda picture: picture, []),
        (lambda picture: picture + 0.01, []),
        (lambda picture: picture + 0.2, ["brighter"]),
        (lambda picture: picture - 0.2, ["darker"]),
        (lambda picture: (picture - 0.475) * 6 + 0.475, ["richer in contrast", "more colourful"]),
    ],
    ids=["none", "too small to be seen", "light", "dark", "contrast"],
)
def test_a_change_is_noted_in_words(
    make_run: MakeRun, tmp_path: Path, how: Callable[[np.ndarray], np.ndarray], noted: list[str]
) -> None:
    run = make_run(count=6)
    change(run, how)
    compare([run], out=tmp_path / "report.html")
    (told,) = json.loads((tmp_path / "verdict.json").read_text())["runs"]
    assert [one["noted"] for one in told["drift"].values() if one["noted"]] == noted
    for one in told["drift"].values():
        assert one["ci95"][0] <= one["difference"] <= one["ci95"][1]
        assert one["after"] - one["before"] == pytest.approx(one["difference"])
    wanted = ", ".join(noted) if noted else "no change that one would notice"
    assert f"latent: {wanted}</h3>" in (tmp_path / "report.html").read_text()
