"""Raters as they are: they reload, go back, click twice, write too much, and their links end while they answer."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the extra `desk` is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")

from sqlalchemy import select

from emu.data.sources.entry import LONGEST_CAPTION
from emu.desk.review.plan import Pass
from emu.desk.review.raters import invite
from emu.desk.review.study import Review
from emu.desk.review.tables import look_events
from emu.desk.vote.ballots import LONGEST_REASON
from emu.desk.vote.cards import events
from emu.desk.vote.poll import Poll
from reviewers import make_review, plan, served_review, write_folder
from tabs import CHROMIUM, Page, Tab, eventually
from voters import invite as invite_voter
from voters import make_poll, served, write_run

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

GRID = Pass("grid", "grid", reasons=("dull", "blurred"))
SINGLE = Pass("single", "single", reasons=("dull", "blurred"))
CAPTIONS = Pass("captions", "captions")


@pytest.fixture
def review(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Review]:
    """Of the passes that a test names."""
    made = make_review(write_folder(tmp_path, 8), plan(*request.param))
    yield made
    made.database.close()


@pytest.fixture
def poll(tmp_path: Path) -> Iterator[Poll]:
    made = make_poll(write_run(tmp_path / "run", 5))
    yield made
    made.database.close()


def link(review: Review) -> str:
    return invite(review.database, "Ada", review.plan.passes, arbiter=False)


def said(review: Review) -> list[tuple[str, str, str]]:
    with review.database.reading() as connection:
        rows = connection.execute(select(look_events).order_by(look_events.c.id))
        return [(row.choice, row.reason, row.text) for row in rows]


def votes(poll: Poll) -> list[tuple[str, str]]:
    with poll.database.reading() as connection:
        return [(row.choice, row.reason) for row in connection.execute(select(events).order_by(events.c.id))]


@pytest.mark.parametrize("review", [[CAPTIONS]], indirect=True)
def test_a_caption_that_is_begun_outlives_a_reload_and_one_too_long_says_so(browser: Any, review: Review) -> None:
    with served_review(review) as port:
        tab = Tab(browser, port, link(review))
        before = tab.look
        tab.page.fill("#caption", "\U0001f600" * LONGEST_CAPTION)  # a face is one character, as the server counts
        assert tab.page.inner_text("#caption-count") == "20,000 of 20,000 characters"
        tab.page.fill("#caption", "x" * (LONGEST_CAPTION + 7))
        assert tab.page.inner_text("#caption-count") == "7 too many of 20,000 characters"
        tab.page.wait_for_timeout(150)
        tab.page.keyboard.press("Control+Enter")
        tab.page.wait_for_selector("#status:text-matches('too long')")
        assert tab.look == before
        tab.page.reload()
        tab.page.wait_for_selector(f'body[data-look="{before}"]')
        assert len(tab.page.input_value("#caption")) == LONGEST_CAPTION + 7
        tab.page.fill("#caption", "\U0001f600" * LONGEST_CAPTION)
        tab.press("Control+Enter")
        assert said(review) == [("caption", "", "\U0001f600" * LONGEST_CAPTION)]
        assert tab.page.evaluate("Object.keys(localStorage).length") == 0
        assert tab.complaints == []


@pytest.mark.parametrize("review", [[GRID, CAPTIONS]], indirect=True)
def test_marks_outlive_a_reload_and_the_way_back_leads_to_the_passes(browser: Any, review: Review) -> None:
    with served_review(review) as port:
        tab = Tab(browser, port, link(review), entry=0)
        for key in ("ArrowRight", "2", "ArrowRight", "Space"):
            tab.page.keyboard.press(key)
        tab.page.reload()
        tab.at("grid")  # the pass that one was in
        tab.page.wait_for_selector(".tile.rejected >> nth=1")
        tab.page.go_back()
        tab.at("home")
        tab.page.click("#passes button >> nth=0")
        tab.page.wait_for_selector(".tile.rejected >> nth=1")
        assert [tile.get_attribute("data-reason") for tile in tab.page.locator(".tile.rejected").all()] == [
            "blurred", "rejected"
        ]  # fmt: skip
        tab.press("Enter")
        assert [choice for choice, _, _ in said(review)] == ["keep", "reject", "reject", *["keep"] * 5]
        assert tab.complaints == []


@pytest.mark.parametrize("review", [[SINGLE]], indirect=True)
def test_a_double_click_rejects_one_picture(browser: Any, review: Review) -> None:
    with served_review(review) as port:
        tab = Tab(browser, port, link(review))
        for what in ("[data-for=single] .reasons button >> nth=1", "[data-choice=keep]"):
            before = tab.look
            tab.page.wait_for_timeout(150)
            tab.page.dblclick(what, delay=10)
            tab.page.wait_for_selector(f'body:not([data-look="{before}"])')
            tab.page.wait_for_timeout(300)
        assert said(review) == [("reject", "blurred", ""), ("keep", "", "")]


@pytest.mark.parametrize("review", [[SINGLE]], indirect=True)
def test_a_link_that_ends_meanwhile_is_told_and_the_answer_arrives_by_the_new_one(browser: Any, review: Review) -> None:
    with served_review(review) as port:
        tab = Tab(browser, port, link(review))
        newer, before = link(review), tab.look
        tab.page.wait_for_timeout(150)
        tab.page.keyboard.press("ArrowRight")
        tab.page.wait_for_selector("#status:text-matches('Open the newest in this browser')")
        assert said(review) == []
        other = tab.context.new_page()
        other.goto(f"http://127.0.0.1:{port}/join/{newer}")
        tab.page.wait_for_selector(f'body:not([data-look="{before}"])')
        tab.page.wait_for_selector("#status:empty", state="attached")
        assert said(review) == [("keep", "", "")]


@pytest.mark.parametrize("review", [[SINGLE]], indirect=True)
def test_what_the_server_does_not_take_says_why_and_the_page_goes_on(browser: Any, review: Review) -> None:
    with served_review(review) as port:
        tab = Tab(browser, port, link(review))
        tab.page.route("**/answer", lambda route: route.fulfill(status=400, body="it is Sunday"), times=1)
        tab.page.wait_for_timeout(150)
        tab.page.keyboard.press("ArrowRight")
        tab.page.wait_for_selector("#status:text-is('Not taken: it is Sunday.')")
        tab.press("ArrowLeft")
        eventually(tab.page, lambda: said(review) == [("reject", "", "")])


@pytest.mark.parametrize("review", [[GRID]], indirect=True)
def test_one_tile_has_the_focus_and_what_happens_is_read_out(browser: Any, review: Review) -> None:
    with served_review(review) as port:
        tab = Tab(browser, port, link(review))
        focused = "[...document.querySelectorAll('.tile')].indexOf(document.activeElement)"
        assert tab.page.evaluate(focused) == 0
        tab.page.keyboard.press("ArrowRight")
        assert tab.page.evaluate(focused) == 1
        stops = [tile.get_attribute("tabindex") for tile in tab.page.locator(".tile").all()]
        assert stops == ["-1", "0", *["-1"] * 6]
        tab.page.keyboard.press("2")
        assert tab.page.inner_text("#live") == "Picture 2 rejected: blurred."
        assert tab.page.get_attribute(".tile >> nth=1", "aria-label") == "Picture 2 of 8, rejected: blurred"
        tab.page.focus("#guide")
        tab.page.keyboard.press("Enter")  # meant for the button, and not for the sheet
        assert tab.page.is_visible("#guide-panel")
        tab.page.keyboard.press("Escape")
        assert not tab.page.is_visible("#guide-panel")
        assert said(review) == []
        assert tab.complaints == []


@pytest.mark.parametrize("review", [[GRID]], indirect=True)
def test_keys_that_come_before_the_pictures_do_nothing(browser: Any, review: Review) -> None:
    with served_review(review) as port:
        tab = Tab(browser, port, link(review))
        held: list[Any] = []
        tab.page.route("**/small/*", lambda route: held.append(route))
        tab.page.reload()
        eventually(tab.page, lambda: len(held) == 8)
        for key in ("ArrowRight", "2", "ArrowDown", "Space", "Enter"):
            tab.page.keyboard.press(key)
        for route in held:
            route.continue_()
        tab.page.wait_for_selector("body[data-look]")
        assert tab.page.locator(".tile.rejected").count() == 0
        assert tab.page.get_attribute(".tile >> nth=0", "tabindex") == "0"
        assert said(review) == []
        assert tab.complaints == []


@pytest.mark.parametrize("review", [[SINGLE]], indirect=True)
def test_a_small_picture_is_shown_as_large_as_its_frame(browser: Any, review: Review) -> None:
    with served_review(review) as port:
        tab = Tab(browser, port, link(review))
        frame, picture = (tab.page.locator(which).bounding_box() for which in ("#stage", "#stage img"))
        assert max(picture["width"] / frame["width"], picture["height"] / frame["height"]) > 0.99
        assert picture["width"] / picture["height"] == pytest.approx(64 / 48, rel=0.01)
        tab.page.keyboard.press("z")
        tab.page.wait_for_selector("#zoom img")
        assert tab.page.locator("#zoom img").bounding_box()["height"] > 600
        tab.page.click("#close")
        tab.page.wait_for_selector("#zoom:not([open])", state="attached")


HIDDEN = """() => [...document.querySelectorAll("button, input, textarea, select")].filter((one) => {
  if (!one.checkVisibility({ visibilityProperty: true }) || one.disabled) return false;
  one.scrollIntoView({ block: "center" });
  const box = one.getBoundingClientRect();
  const hit = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  return box.x < 0 || box.right > innerWidth || !(hit && (one.contains(hit) || hit.contains(one)));
}).map((one) => one.id || one.textContent)"""


@pytest.mark.parametrize("review", [[GRID], [SINGLE], [CAPTIONS]], indirect=True)
@pytest.mark.parametrize(("width", "height"), [(320, 568), (320, 256), (480, 270)])
def test_at_320_pixels_and_at_400_percent_everything_is_reached(
    browser: Any, review: Review, width: int, height: int
) -> None:
    """A window of 1280 by 1024 that is zoomed to 400 % has 320 by 256."""
    with served_review(review) as port:
        tab = Tab(browser, port, link(review), width=width, height=height)
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.page.evaluate(HIDDEN) == []
        tab.page.evaluate("say('A sentence that says what is wrong.')")
        assert tab.page.evaluate(HIDDEN) == []
        box = tab.page.locator("#status").bounding_box()
        assert 0 <= box["y"] <= height - box["height"] + 1
        assert tab.page.locator("img").first.bounding_box()["height"] >= 100
        tab.context.close()


@pytest.mark.parametrize(("width", "height"), [(320, 568), (320, 256), (480, 270), (844, 390)])
def test_a_vote_at_320_pixels_and_at_400_percent(browser: Any, poll: Poll, width: int, height: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": height})
    with served(poll) as port:
        rater = Page(context, port, invite_voter(poll, "Ada")[0])
        assert rater.page.evaluate(HIDDEN) == []
        rater.begin()
        assert rater.page.evaluate("document.documentElement.scrollWidth") <= width
        assert rater.page.is_visible("#reason")
        assert rater.page.evaluate(HIDDEN) == []
        assert rater.page.locator("#picture-a img").bounding_box()["width"] >= 100
    context.close()


def test_a_reason_is_counted_kept_and_never_cut(browser: Any, poll: Poll) -> None:
    context = browser.new_context()
    with served(poll) as port:
        rater = Page(context, port, invite_voter(poll, "Ada")[0]).begin()
        rater.page.fill("#reason", "y" * (LONGEST_REASON + 1))
        assert rater.page.inner_text("#reason-count") == "1 too many of 1,000 characters"
        rater.page.wait_for_timeout(170)
        rater.page.click("[data-choice=a]")
        rater.page.wait_for_selector("#status:text-matches('too long')")
        rater.page.reload()
        rater.page.wait_for_selector("body[data-screen=intro]")
        rater.begin()
        assert rater.page.input_value("#reason") == "y" * (LONGEST_REASON + 1)
        rater.page.fill("#reason", "y" * LONGEST_REASON)
        rater.page.keyboard.press("Enter")
        rater.press("ArrowLeft")
        assert votes(poll) == [("a", "y" * LONGEST_REASON)]
        assert rater.page.inner_text("#live") == "Pair 2 of 5."
        assert rater.complaints == []
    context.close()


@pytest.mark.parametrize("review", [[SINGLE]], indirect=True)
def test_who_waits_for_the_network_is_told(browser: Any, review: Review) -> None:
    with served_review(review) as port:
        tab = Tab(browser, port, link(review))
        held: list[Any] = []
        tab.page.route("**/answer", lambda route: held.append(route))
        tab.page.wait_for_timeout(200)
        tab.page.keyboard.press("ArrowRight")
        eventually(tab.page, lambda: tab.page.inner_text("#status") == "Waiting for the network\u2026")
        held[0].continue_()
        eventually(tab.page, lambda: not tab.page.inner_text("#status"))
        assert said(review) == [("keep", "", "")]
        assert tab.complaints == []
