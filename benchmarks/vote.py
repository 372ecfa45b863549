"""How quick the vote page is: from a key to the next pair on the screen, in Chromium, alone and among many raters.

    python benchmarks/vote.py                          # one rater, pictures of 1024 and of 64 pixels
    python benchmarks/vote.py --raters 18 --pairs 400  # two browsers among 18 raters who vote without one

A time runs from the key's event to the frame in which both next pictures are decoded and placed; between them the
answer goes to the server, is written to disk and acknowledged. The server is `emu vote` in a process of its own.
"""

import argparse
import platform
import random
import shutil
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from emu.layouts import runs
from emu.layouts.quality_json import Quality, write_quality
from processes import free_port
from voters import CHROMIUM_FLAGS, Command, Voter, invite, make_poll

THINK = (0.4, 1.0)  # seconds that a rater without a browser looks at a pair
WATCH = """
window.times = [];
let pressed = 0;
addEventListener("keydown", () => { pressed = performance.now(); }, true);
new MutationObserver(() => requestAnimationFrame(() => times.push(performance.now() - pressed)))
  .observe(document.getElementById("pair"), { attributeFilter: ["data-card"] });
"""


def picture(rng: np.random.Generator, size: int) -> Image.Image:
    """Soft shapes under a little grain: about as hard to compress as a photograph."""
    coarse = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)).resize(
        (size, size), Image.Resampling.BICUBIC
    )
    grain = rng.normal(0, 4, (size, size, 3))
    return Image.fromarray(np.clip(np.asarray(coarse) + grain, 0, 255).astype(np.uint8))


def make_run(run: Path, *, pairs: int, size: int) -> Path:
    """A run folder with `pairs` prompts."""
    rng = np.random.default_rng(0)
    for step in (0, 20):
        rows = [{"file": runs.picture_name(i), "prompt": f"prompt {i}", "seed": i, "sampler": {}} for i in range(pairs)]
        for row in rows:
            runs.save_picture(runs.step_folder(run, step) / row["file"], np.asarray(picture(rng, size)))
        runs.write_samples(runs.step_folder(run, step), rows)
    write_quality(run, Quality(name=run.name, best_step=20))
    return run


def vote_without_browser(voter: Voter, stop: threading.Event, rng: random.Random) -> None:
    """Fetches both pictures, looks, answers, until nothing is left."""
    cards = voter.hand()["cards"]
    while cards and not stop.is_set():
        for side in "ab":
            voter.send("GET", f"/picture/{cards[0]['id']}/{side}")
        time.sleep(rng.uniform(*THINK))
        cards = voter.answer(cards[0], rng.choice(["a", "b", "tie"]))[1]["cards"]


def vote_in_browsers(pages: list[Any], most: int, *, look: int) -> list[list[float]]:
    """Milliseconds from key to next pair, for each page; at most so many keys on each."""
    for page in pages:
        page.click("#start")
        page.evaluate(WATCH)
    for _ in range(most):
        for page in pages:
            page.wait_for_timeout(look)
            if page.get_attribute("body", "data-screen") == "card":
                page.keyboard.press(random.choice(["ArrowLeft", "ArrowRight", "Space"]))
        if all(page.get_attribute("body", "data-screen") == "end" for page in pages):
            break
    return [page.evaluate("times") for page in pages]


def measure(folder: Path, *, pairs: int, size: int, raters: int, browsers: int, look: int) -> None:
    """One poll, voted on to its end; prints what was measured."""
    poll = make_poll(make_run(folder / f"run-{size}", pairs=pairs, size=size), appeal=5, faithfulness=0, prompts=pairs)
    links = invite(poll, *(f"rater {i}" for i in range(browsers + raters)))
    poll.database.close()
    port, stop = free_port(), threading.Event()
    server = Command(folder / f"run-{size}", port=port)
    try:
        voters = [Voter(port).join(link) for link in links[browsers:]]
        threads = [
            threading.Thread(target=vote_without_browser, args=(voter, stop, random.Random(i)))
            for i, voter in enumerate(voters)
        ]
        with sync_playwright() as driver:
            opened = driver.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_FLAGS)
            pages = [opened.new_context(viewport={"width": 1280, "height": 800}).new_page() for _ in range(browsers)]
            for page, link in zip(pages, links[:browsers], strict=True):
                page.goto(f"http://127.0.0.1:{port}/join/{link}")
                page.wait_for_selector("body[data-screen=intro]")
            for thread in threads:
                thread.start()
            found = vote_in_browsers(pages, pairs, look=look)
            for thread in threads:
                thread.join()
            opened.close()
    finally:
        stop.set()
        server.kill()
    times = np.array(sum(found, start=[]))
    median, p95, most = np.percentile(times, [50, 95, 100])
    print(f"{size} px, {browsers} browsers, {raters} other raters: {len(times)} keys, median {median:.0f} ms,", end=" ")
    print(f"95 % {p95:.0f} ms, longest {most:.0f} ms; {told(folder / f'run-{size}' / 'votes.sqlite')}")


def told(path: Path) -> str:
    """How votes fell over pairs and sides."""
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT pair, swapped FROM cards WHERE choice IS NOT NULL").fetchall()
    connection.close()
    fill = Counter(Counter(pair for pair, _ in rows).values())
    left = 100 * sum(swapped for _, swapped in rows) / len(rows)
    return f"{len(rows)} votes, pairs by votes {dict(sorted(fill.items()))}, tuned picture left in {left:.1f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--raters", type=int, default=0)
    parser.add_argument("--look", type=int, default=800, help="milliseconds with a pair before the key")
    given = parser.parse_args()
    print(f"{platform.machine()}, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as folder:
        for size in (64,) if given.raters else (1024, 64):
            browsers = 2 if given.raters else 1
            measure(Path(folder), pairs=given.pairs, size=size, raters=given.raters, browsers=browsers, look=given.look)


if __name__ == "__main__":
    main()
