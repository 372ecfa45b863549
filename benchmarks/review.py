"""How fluid the review page is on a folder of 20,000 pictures: the first view, the next sheet, the next picture.

    python benchmarks/review.py                      # sheets, then single pictures, of 20,000; then 2,000 large ones
    python benchmarks/review.py --pictures 2000

The server is `emu review` in a process of its own, the page runs in Chromium. A first view runs from choosing the pass
to the frame in which all its pictures are decoded and placed, a next one from the key's event to that frame; between
them the answers go to the server, are written to disk and acknowledged.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from processes import free_port
from voters import CHROMIUM_FLAGS

PLAN = "passes:\n- {name: first, page: PAGE, votes: 1, keep: any, reasons: [dull]}\n"
WATCH = """
window.times = [];
let pressed = 0;
addEventListener("keydown", () => { pressed = performance.now(); }, true);
new MutationObserver(() => requestAnimationFrame(() => times.push(performance.now() - pressed)))
  .observe(document.body, { attributeFilter: ["data-look"] });
"""


def make_folder(folder: Path, *, pictures: int, side: int) -> Path:
    """A curated folder of soft shapes under a little grain; each is one of 200 with a mark of its own at the end."""
    rng = np.random.default_rng(0)
    kinds = []
    for _ in range(200):
        coarse = Image.fromarray(rng.integers(0, 256, (7, 9, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((side, side * 3 // 4), Image.Resampling.BICUBIC)).astype(np.float64)
        path = folder / "kind.jpg"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.clip(smooth + rng.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)).save(
            path, quality=88
        )
        kinds.append(path.read_bytes())
        path.unlink()
    lines = []
    for i in range(pictures):
        file = f"images/{i:08d}.jpg"
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_bytes(kinds[i % 200] + i.to_bytes(4, "big"))  # behind the end of the picture
        lines.append(json.dumps({"file_name": file, "text": f"number {i}"}) + "\n")
    (folder / "metadata.jsonl").write_text("".join(lines))
    return folder


def serve(folder: Path, plan: Path) -> tuple[Any, str, float]:
    """The process, its link, and how long it took to open."""
    argv = [sys.executable, "-m", "emu", "review", str(folder), "-c", str(plan), "--no-browser"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    began = time.monotonic()
    process = subprocess.Popen([*argv, "--port", str(free_port())], stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    link = process.stdout.readline().split()[-1]
    return process, link, time.monotonic() - began


def look(browser: Any, link: str, *, page: str, keys: int, pause: float) -> tuple[float, list[float]]:
    """Milliseconds to the first view, and from each key to the next."""
    tab = browser.new_page(viewport={"width": 1280, "height": 800})
    tab.goto(link)
    tab.wait_for_selector("body[data-screen=home]")
    began = time.monotonic()
    tab.click("#passes button >> nth=0")
    tab.wait_for_selector("body[data-look]")
    first = 1000 * (time.monotonic() - began)
    tab.evaluate(WATCH)
    for number in range(keys):
        tab.wait_for_timeout(1000 * pause)
        if page == "grid":
            tab.keyboard.press("Space")
        before = tab.get_attribute("body", "data-look")
        tab.keyboard.press("Enter" if page == "grid" else ("ArrowRight", "ArrowLeft")[number % 2])
        tab.wait_for_selector(f'body:not([data-look="{before}"])', state="attached")
    tab.wait_for_timeout(100)
    times = tab.evaluate("times")
    tab.close()
    return first, times


def measure(browser: Any, root: Path, *, page: str, pictures: int, side: int, keys: int, pause: float) -> str:
    """A row of the table."""
    folder = make_folder(root / page, pictures=pictures, side=side)
    plan = root / f"{page}.yaml"
    plan.write_text(PLAN.replace("PAGE", page))
    process, link, opening = serve(folder, plan)
    try:
        first, times = look(browser, link, page=page, keys=keys, pause=pause)
        process.kill()
        process.wait()
        process, link, again = serve(folder, plan)
    finally:
        process.kill()
        process.wait()
    shutil.rmtree(folder)
    median, p95 = np.percentile(times, [50, 95])
    cells = [f"{page}, {pictures:,} of {side} px", f"{opening:.1f} s", f"{again:.1f} s", f"{first:.0f} ms"]
    cells += [str(len(times)), f"{median:.0f} ms", f"{p95:.0f} ms", f"{max(times):.0f} ms", f"{os.getloadavg()[0]:.1f}"]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--large", type=int, default=2_000, help="pictures of 1024 px")
    parser.add_argument("--keys", type=int, default=100)
    parser.add_argument("--pause", type=float, default=0.8, help="seconds that a rater looks at a picture")
    given = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} CPU cores, Python {platform.python_version()}\n")
    print("| page | start | start again | first view | keys | median | 95 % | longest | load |\n" + "|---" * 9 + "|")
    with sync_playwright() as driver, tempfile.TemporaryDirectory() as folder:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_FLAGS)
        sizes: list[tuple[str, int, int]] = [
            ("grid", given.pictures, 320), ("single", given.pictures, 320), ("single", given.large, 1024)
        ]  # fmt: skip
        for page, pictures, side in sizes:
            row = measure(
                browser, Path(folder), page=page, pictures=pictures, side=side, keys=given.keys, pause=given.pause
            )
            print(row, flush=True)


if __name__ == "__main__":
    main()
