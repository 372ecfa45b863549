"""Three raters review at once in a real browser while the server is killed: no answer is lost, none counts twice."""

import asyncio
import json
import random
import shutil
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the extra `desk` is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")

from playwright.async_api import Error, async_playwright

from emu.desk.review.plan import read_plan
from emu.desk.review.raters import invite
from processes import free_port
from reviewers import make_review, write_folder
from voters import CHROMIUM_FLAGS, Command, kill

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
PLAN = """
passes:
- {name: generalists, page: grid, votes: 2, keep: any, reasons: [dull]}
- {name: specialists, page: single, votes: 2, keep: any, reasons: [dull]}
"""


class Rater:
    """Goes through both passes until nothing is left, goes back now and then, and notes what was acknowledged."""

    def __init__(self, page: Any, name: str) -> None:
        self.page, self.rng = page, random.Random(name)
        self.acknowledged: set[tuple[str, int, str]] = set()
        self.idle = 0
        page.on("response", self.note)
        page.set_default_timeout(60_000)

    async def note(self, response: Any) -> None:
        if response.url.endswith("/answer") and response.ok:
            sent = json.loads(response.request.post_data)["answers"]
            try:
                statuses = (await response.json())["statuses"]
            except Error:  # a kill cut the answer off; the page does not take it for one either
                return
            stored = [one for one, status in zip(sent, statuses, strict=True) if status == "stored"]
            self.acknowledged |= {(one["id"], one["turn"], one["choice"]) for one in stored}

    async def vote(self) -> None:
        """Until nothing was left in either pass six times: others may have to be done first."""
        while self.idle < 6:
            for entry in (0, 1):
                await self.enter(entry)
                done = 0
                while await self.page.get_attribute("body", "data-screen") != "end":
                    done += await self.press()
                self.idle = 0 if done else self.idle + 1
            await self.page.wait_for_timeout(300)

    async def enter(self, entry: int) -> None:
        if await self.page.get_attribute("body", "data-screen") != "home":
            await self.page.click("#home")
            await self.page.wait_for_selector("body[data-screen=home]")
        await self.page.click(f"#passes button >> nth={entry}")
        await self.page.wait_for_selector("body:not([data-screen=home])")

    async def press(self) -> int:
        """Keys like any rater's: sometimes too early, sometimes twice; the page has to cope."""
        before = await self.page.get_attribute("body", "data-look")
        grid = await self.page.get_attribute("body", "data-screen") == "grid"
        await self.page.wait_for_timeout(self.rng.uniform(80, 220))
        for _ in range(self.rng.randint(0, 3) if grid else 0):
            await self.page.keyboard.press(self.rng.choice(["ArrowRight", "Space", "1"]))
        key = "Enter" if grid else self.rng.choice(["ArrowRight", "ArrowLeft", "1"])
        await self.page.keyboard.press("Backspace" if self.rng.random() < 0.05 else key)
        if self.rng.random() < 0.1:
            await self.page.keyboard.press(key)
        changed = f'body:not([data-look="{before}"]), body[data-screen=end]'
        try:
            await self.page.wait_for_selector(changed, state="attached", timeout=1000)
        except Exception as error:  # too early, or the server is away and the page tries on: so does the rater
            if type(error).__name__ != "TimeoutError":
                raise
            return 0
        return 1


async def session(folder: Path, plan: Path, port: int, links: list[str], moments: list[int]) -> list[Rater]:
    server = await asyncio.to_thread(Command, folder, "-c", str(plan), port=port, page="review")
    try:
        async with async_playwright() as driver:
            browser = await driver.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
            found = []
            for link in links:
                page = await (await browser.new_context(viewport={"width": 700, "height": 600})).new_page()
                await page.goto(f"http://127.0.0.1:{port}/join/{link}")
                await page.wait_for_selector("body[data-screen=home]")
                found.append(Rater(page, link))
            killing = kill(server, found, moments, random.Random(len(moments)))
            await asyncio.gather(killing, *(rater.vote() for rater in found))
            await asyncio.sleep(0.2)  # the last acknowledgements are on their way into the lists
            await browser.close()
            return found
    finally:
        server.kill()


def check(root: Path, pictures: int, kills: int) -> None:
    folder, plan = write_folder(root / "needles", pictures), root / "plan.yaml"
    plan.write_text(PLAN)
    review = make_review(folder, read_plan(plan))
    links = [invite(review.database, name, review.plan.passes, arbiter=False) for name in ("Ada", "Bo", "Cleo")]
    review.database.close()
    moments = sorted(random.Random(pictures).sample(range(3, 2 * pictures), kills))
    raters = asyncio.run(session(folder, plan, free_port(), links, moments))
    connection = sqlite3.connect(folder / "review.sqlite")
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    stored = set(connection.execute("SELECT look, turn, choice FROM look_events"))
    rows = connection.execute('SELECT rater, "pass", picture, choice FROM looks WHERE choice IS NOT NULL').fetchall()
    connection.close()
    acknowledged = set[tuple[str, int, str]]().union(*(rater.acknowledged for rater in raters))
    assert acknowledged - stored == set()  # none lost
    assert max(Counter((look, turn) for look, turn, _ in stored).values()) == 1  # none doubled
    assert len(rows) == len({row[:3] for row in rows})
    looked = Counter(row[2] for row in rows if row[1] == "generalists")
    assert set(looked.values()) == {2}
    assert len(looked) == pictures
    kept = {row[2] for row in rows if row[1] == "generalists" and row[3] == "keep"}
    assert Counter(row[2] for row in rows if row[1] == "specialists" and row[2] in kept) == dict.fromkeys(kept, 2)


def test_three_reviewers_and_kills(tmp_path: Path) -> None:
    check(tmp_path, pictures=12, kills=2)


@pytest.mark.slow
def test_three_reviewers_over_120_pictures_and_ten_kills(tmp_path: Path) -> None:
    check(tmp_path, pictures=120, kills=10)
