"""Three raters vote at once in a real browser while the server is killed: no vote is lost, none counts twice."""

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

from processes import free_port
from voters import CHROMIUM_FLAGS, Command, invite, kill, make_poll, write_run

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
KEYS = {
    "appeal": ["ArrowLeft", "ArrowRight", "Space"],
    "faithfulness": ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"],
}


class Rater:
    """Presses keys until there is nothing left, takes an answer back now and then, and notes what was acknowledged."""

    def __init__(self, page: Any, name: str) -> None:
        self.page = page
        self.rng = random.Random(name)
        self.acknowledged: set[tuple[str, int, str]] = set()
        page.on("response", self.note)
        page.set_default_timeout(60_000)

    async def note(self, response: Any) -> None:
        if response.url.endswith("/answer") and response.ok:
            sent = json.loads(response.request.post_data)
            try:
                told = await response.json()
            except Error:  # a kill cut the answer off; the page does not take it for one either
                return
            if told["status"] == "stored":
                self.acknowledged.add((sent["id"], sent["turn"], sent["choice"]))

    async def vote(self) -> None:
        while (screen := await self.page.get_attribute("body", "data-screen")) != "done":
            if screen == "intro":
                await self.page.click("#start")
            elif screen == "end":
                if await self.page.inner_text("#again") != "Go on":
                    return
                await self.page.click("#again")
                await self.page.wait_for_selector("body[data-screen=intro]")
            else:
                await self.press()

    async def press(self) -> None:
        """A key like any rater's: sometimes too early, sometimes twice; the page has to cope."""
        before = await self.page.get_attribute("#pair", "data-card")
        faithful = (await self.page.inner_text("#part")).startswith("Faithfulness")
        key = self.rng.choice(KEYS["faithfulness" if faithful else "appeal"])
        await self.page.wait_for_timeout(self.rng.uniform(100, 250))
        await self.page.keyboard.press("Backspace" if self.rng.random() < 0.05 else key)
        if self.rng.random() < 0.1:
            await self.page.keyboard.press(key)
        changed = f'#pair:not([data-card="{before}"]), body[data-screen=end] #pair'
        try:
            await self.page.wait_for_selector(changed, state="attached", timeout=1000)
        except Exception as error:  # too early, or the server is away and the page tries on: so does the rater
            if type(error).__name__ != "TimeoutError":
                raise


async def session(run: Path, port: int, links: list[str], moments: list[int]) -> list[Rater]:
    server = await asyncio.to_thread(Command, run, port=port)
    try:
        async with async_playwright() as driver:
            browser = await driver.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
            found = []
            for link in links:
                page = await (await browser.new_context(viewport={"width": 900, "height": 600})).new_page()
                await page.goto(f"http://127.0.0.1:{port}/join/{link}")
                await page.wait_for_selector("body[data-screen=intro]")
                found.append(Rater(page, link))
            killing = kill(server, found, moments, random.Random(len(moments)))
            await asyncio.gather(killing, *(rater.vote() for rater in found))
            await asyncio.sleep(0.2)  # the last acknowledgements are on their way into the lists
            await browser.close()
            return found
    finally:
        server.kill()


def check(run: Path, pairs: int, kills: int) -> None:
    poll = make_poll(write_run(run, pairs), appeal=3, faithfulness=3)
    links = invite(poll, "Ada", "Bo", "Cleo")
    poll.database.close()
    moments = sorted(random.Random(pairs).sample(range(3, 5 * pairs), kills))  # of 6 * pairs answers and more
    raters = asyncio.run(session(run, free_port(), links, moments))
    connection = sqlite3.connect(run / "votes.sqlite")
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    stored = set(connection.execute("SELECT card, turn, choice FROM events"))
    rows = connection.execute("SELECT rater, question, pair, choice FROM cards").fetchall()
    connection.close()
    acknowledged = set[tuple[str, int, str]]().union(*(rater.acknowledged for rater in raters))
    assert len(acknowledged) > 3 * pairs
    assert acknowledged - stored == set()  # none lost
    assert max(Counter((card, turn) for card, turn, _ in stored).values()) == 1  # none doubled
    assert len(rows) == len({row[:3] for row in rows}) == 3 * 2 * pairs
    assert all(row[3] for row in rows)
    assert set(Counter(row[1:3] for row in rows).values()) == {3}


@pytest.mark.slow
def test_three_raters_and_kills(tmp_path: Path) -> None:
    check(tmp_path / "run", pairs=8, kills=2)


@pytest.mark.slow
def test_three_raters_over_60_pairs_and_ten_kills(tmp_path: Path) -> None:
    check(tmp_path / "run", pairs=60, kills=10)
