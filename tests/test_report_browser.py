"""The page in a real browser: no error, filters from the address, a screenshot that shows the pictures."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from emu.compare import compare
from emu.layouts import runs
from emu.layouts.quality_json import Quality, write_quality

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
    root, eye = tmp_path_factory.mktemp("report"), {"name": "eye", "tie": 0.5}
    for name in ("latent", "muse"):
        for step in (0, 20):
            folder = runs.step_folder(root / name, step)
            rows = [
                {"file": f"{i}.png", "prompt": f"{'fox' if i % 2 else 'boat'} <b>{i}</b>", "seed": i, "group": "seen"}
                for i in range(6)
            ]
            for i, row in enumerate(rows):
                runs.save_picture(folder / row["file"], np.full((64, 64, 3), (200, 20 * i, 9 * step), dtype=np.uint8))
            scores = {f"{i}.png": {"appeal": step * (1 if i < 4 else -1), "faithfulness": 1} for i in range(6)}
            runs.write_scores(folder, scores)
            runs.write_samples(folder, rows)
        write_quality(root / name, Quality(name=name, judges=dict.fromkeys(("appeal", "faithfulness"), eye)))
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
    browse(f"--screenshot={shot}", f"--window-size={width},9000", report.as_uri(), profile=tmp_path / "profile")
    pixels = np.asarray(Image.open(shot).convert("RGB")).astype(int)
    assert pixels.shape[1] == width
    for colour in ((200, 0, 0), (200, 0, 180)):  # the first prompt's picture before and after, give or take WebP
        near = np.abs(pixels - colour).max(axis=2) < 12
        assert near.sum() > 60 * 60


@pytest.fixture
def driven(report: Path) -> Iterator[Any]:
    """The page in a browser that keys and taps are sent to."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.goto(report.as_uri())
        yield page
        browser.close()


def test_pairs_open_and_close_by_keyboard(driven: Any) -> None:
    first = driven.locator("figure.pick .pair").first
    first.focus()
    driven.keyboard.press("Enter")
    dialog = driven.locator("dialog")
    assert dialog.is_visible()
    shown = driven.locator("#zoom-caption").inner_text()
    driven.keyboard.press("ArrowRight")
    assert driven.locator("#zoom-caption").inner_text() != shown
    driven.keyboard.press("ArrowLeft")
    driven.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert driven.evaluate("document.activeElement === document.querySelector('figure.pick .pair')")


def test_a_screen_reader_has_a_name_for_everything(driven: Any) -> None:
    unnamed = driven.evaluate(
        "[...document.querySelectorAll('button, svg, img, select, input')]"
        ".filter((one) => !one.closest('label') && !one.ariaLabel && !one.alt && !one.textContent.trim()).length"
    )
    assert unnamed == 0
    levels = driven.evaluate("[...document.querySelectorAll('h1, h2, h3, h4')].map((one) => +one.tagName[1])")
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))
    places = driven.evaluate("[...document.querySelectorAll('nav a')].map((one) => one.getAttribute('href'))")
    assert all(driven.locator(place).count() == 1 for place in places)


@pytest.mark.parametrize("width", [360, 390, 768])
def test_nothing_is_wider_than_a_phone(driven: Any, width: int) -> None:
    driven.set_viewport_size({"width": width, "height": 800})
    driven.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert driven.evaluate("document.documentElement.scrollWidth") <= width
    broad = (
        "[...document.querySelectorAll('.guards li > div, p, h3, .pick')].filter((one) => one.offsetWidth > innerWidth)"
    )
    assert driven.evaluate(f"{broad}.length") == 0


@pytest.mark.slow
def test_300_pairs_of_large_pictures_are_below_15_mb_and_there_in_2_seconds(tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    rng = np.random.default_rng(0)
    for step in (0, 20):
        folder = runs.step_folder(tmp_path / "large", step)
        rows = [{"file": f"{i}.png", "prompt": f"prompt {i}", "seed": i, "Category": str(i % 12)} for i in range(300)]
        for row in rows:  # edges and grain, as in photographs
            coarse = Image.fromarray(rng.integers(0, 255, (24, 24, 3), dtype=np.uint8)).resize((512, 512))
            grain = rng.normal(0, 12, (512, 512, 3))
            runs.save_picture(folder / row["file"], (np.asarray(coarse) + grain).clip(0, 255).astype(np.uint8))
        runs.write_scores(folder, {row["file"]: {"appeal": step + i % 7} for i, row in enumerate(rows)})
        runs.write_samples(folder, rows)
    write_quality(tmp_path / "large", Quality(name="large", judges={"appeal": {"name": "eye", "tie": 0.5}}))
    page = tmp_path / "report.html"
    compare([tmp_path / "large"], out=page)
    assert page.stat().st_size < 15_000_000
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page()
        tab.goto(page.as_uri())
        took = tab.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
        assert tab.locator("article.line").count() == 300
        tab.locator("select[name=group]").select_option("3")
        assert tab.locator("article.line:not([hidden])").count() == 25
        browser.close()
    assert 0 < took < 2000
