"""The page in a real browser: no error, filters from the address, a screenshot that shows the pictures."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from emu import runs
from emu.compare import compare

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


def browse(*arguments: str, profile: Path) -> subprocess.CompletedProcess[str]:
    assert CHROMIUM is not None
    quiet = ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    return subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", *quiet, "--hide-scrollbars",
         "--enable-logging=stderr", f"--user-data-dir={profile}", *arguments],
        check=True, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six prompts of two runs: appeal wins on the first four, loses on the last two."""
    root = tmp_path_factory.mktemp("report")
    for name in ("latent", "muse"):
        for step in (0, 20):
            folder = runs.step_folder(root / name, step)
            rows = [
                {"file": f"{i}.png", "prompt": f"{'fox' if i % 2 else 'boat'} <b>{i}</b>", "seed": i, "group": "seen"}
                for i in range(6)
            ]
            for i, row in enumerate(rows):
                runs.save_picture(folder / row["file"], np.full((64, 64, 3), (200, 20 * i, 9 * step), dtype=np.uint8))
            runs.write_scores(folder, {f"{i}.png": {"appeal": step * (1 if i < 4 else -1)} for i in range(6)})
            runs.write_samples(folder, rows)
        runs.write_quality(root / name, {"name": name, "judges": {"appeal": {"name": "eye", "tie": 0.5}}})
    compare([root / "latent", root / "muse"], out=root / "report.html")
    return root / "report.html"


@pytest.mark.parametrize(
    ("address", "seeds"),
    [
        ("", [0, 1, 2, 3, 4, 5]),
        ("#outcome=lose", [4, 5]),
        ("#outcome=win&search=FOX", [1, 3]),
        ("#search=b%3E5", [5]),
        ("#group=seen&outcome=tie", []),
        ("#unknown=1", [0, 1, 2, 3, 4, 5]),
    ],
)
def test_filters_show_what_they_say(report: Path, tmp_path: Path, address: str, seeds: list[int]) -> None:
    done = browse("--dump-dom", f"{report.as_uri()}{address}", profile=tmp_path)
    lines = re.findall(r'<article class="line"([^>]*)>.*?seed (\d+)', done.stdout, re.DOTALL)
    assert [int(seed) for attributes, seed in lines if "hidden" not in attributes] == seeds
    assert len(lines) == 6
    assert "CONSOLE" not in done.stderr, done.stderr


def test_a_page_of_runs_never_judged_works(report: Path, tmp_path: Path) -> None:
    run = tmp_path / "muse"
    shutil.copytree(report.parent / "muse", run)
    for scores in run.rglob(runs.SCORES):
        scores.unlink()
    compare([run], out=tmp_path / "report.html")
    address = f"{(tmp_path / 'report.html').as_uri()}#search=fox&outcome=win"
    done = browse("--dump-dom", address, profile=tmp_path / "profile")
    lines = re.findall(r'<article class="line"([^>]*)>.*?seed (\d+)', done.stdout, re.DOTALL)
    assert [int(seed) for attributes, seed in lines if "hidden" not in attributes] == [1, 3, 5]
    assert "CONSOLE" not in done.stderr, done.stderr


@pytest.mark.parametrize("width", [390, 1280])
def test_a_screenshot_shows_the_pictures(report: Path, tmp_path: Path, width: int) -> None:
    shot = tmp_path / "shot.png"
    browse(f"--screenshot={shot}", f"--window-size={width},7000", report.as_uri(), profile=tmp_path / "profile")
    pixels = np.asarray(Image.open(shot).convert("RGB")).astype(int)
    assert pixels.shape[1] == width
    for colour in ((200, 0, 0), (200, 0, 180)):  # the first prompt's picture before and after, give or take WebP
        near = np.abs(pixels - colour).max(axis=2) < 12
        assert near.sum() > 60 * 60
