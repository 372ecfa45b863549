"""The review page in a real browser: keys on all three pages, hostile captions and names, a phone."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the extra `desk` is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")

from sqlalchemy import select

from emu.desk.review.plan import Pass
from emu.desk.review.raters import invite
from emu.desk.review.study import Review
from emu.desk.review.tables import look_events
from reviewers import Desk, make_review, plan, served_review, write_folder
from tabs import CHROMIUM, Tab, eventually
from voters import HOSTILE

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


def said(review: Review) -> list[tuple[str, str, str]]:
    with review.database.reading() as connection:
        rows = connection.execute(select(look_events).order_by(look_events.c.id))
        return [(row.choice, row.reason, row.text) for row in rows]


def test_a_sheet_is_answered_with_a_few_keys_and_taken_back(browser: Any, tmp_path: Path) -> None:
    one = Pass("first", "grid", reasons=("dull", "blurred"))
    review = make_review(write_folder(tmp_path, 9), plan(one))
    with served_review(review) as port:
        tab = Tab(browser, port, invite(review.database, "Ada", [one], arbiter=False))
        assert tab.page.locator(".tile").count() == 9
        tab.press("ArrowRight", "Space", "ArrowRight", "2", "ArrowRight", "1", "1", "Enter")
        tab.at("end")
        assert [choice for choice, _, _ in said(review)] == ["keep", "reject", "reject", *["keep"] * 6]
        assert [reason for _, reason, _ in said(review)][:4] == ["", "", "blurred", ""]
        tab.page.click("#back")
        tab.at("grid")
        assert tab.page.locator(".tile.rejected").count() == 2
        tab.page.wait_for_timeout(200)
        tab.page.locator(".tile").nth(1).click()
        assert tab.page.locator(".tile.rejected").count() == 1
        tab.page.click("#commit")
        tab.at("end")
        assert [choice for choice, _, _ in said(review)][9:] == ["keep", "keep", "reject", *["keep"] * 6]
        assert tab.complaints == []


def test_one_picture_at_a_time_by_keys(browser: Any, tmp_path: Path) -> None:
    one = Pass("first", "single", reasons=("dull", "blurred"))
    review = make_review(write_folder(tmp_path, 5), plan(one))
    with served_review(review) as port:
        tab = Tab(browser, port, invite(review.database, "Ada", [one], arbiter=False))
        tab.press("ArrowRight")
        tab.press("ArrowLeft")
        tab.press("2")
        tab.press("Backspace")
        assert tab.page.locator("[data-for=single] .reasons .chosen").inner_text().startswith("blurred")
        tab.press("ArrowRight")
        tab.page.keyboard.press("z")
        tab.page.wait_for_selector("#zoom[open]")
        tab.page.keyboard.press("ArrowRight")  # not meant for what lies behind
        tab.page.keyboard.press("Escape")
        tab.page.wait_for_selector("#zoom:not([open])", state="attached")
        tab.page.keyboard.press("g")
        assert "Is it good?" in tab.page.inner_text("#guide-panel")
        tab.press("ArrowRight")
        tab.press("ArrowLeft")
        tab.at("end")
        assert [(choice, reason) for choice, reason, _ in said(review)] == [
            ("keep", ""), ("reject", ""), ("reject", "blurred"), ("keep", ""), ("keep", ""), ("reject", "")
        ]  # fmt: skip
        assert tab.page.inner_text("#count") == "5 of 5"
        assert tab.complaints == []


def test_captions_are_written_or_the_picture_is_dropped(browser: Any, tmp_path: Path) -> None:
    review = make_review(write_folder(tmp_path, 3), plan(Pass("captions", "captions")))
    with served_review(review) as port:
        tab = Tab(browser, port, invite(review.database, "Ada", review.plan.passes, arbiter=False))
        assert tab.page.input_value("#caption").startswith("a ")
        tab.page.fill("#caption", "a boat on a lake")
        tab.press("Control+Enter")
        with tab.page.expect_response("**/tokens"):  # which does not take back what was said before it came
            tab.page.fill("#caption", "")
            tab.page.wait_for_timeout(200)
            tab.page.keyboard.press("Control+Enter")
        tab.page.wait_for_timeout(50)
        assert tab.page.inner_text("#status").startswith("Write a caption")
        before = tab.look
        tab.page.click("[data-for=captions] [data-choice=reject]")
        tab.page.wait_for_selector(f'body:not([data-look="{before}"])')
        tab.press("Control+Enter")
        tab.at("end")
        choices, _, texts = zip(*said(review), strict=True)
        assert choices == ("caption", "reject", "caption")
        assert texts[:2] == ("a boat on a lake", "")
        tab.page.click("#back")
        tab.at("captions")
        assert tab.page.input_value("#caption") == texts[2]
        assert tab.complaints == []


def test_an_arbiter_sees_what_raters_said(browser: Any, tmp_path: Path) -> None:
    one = Pass("first", "single", votes=2, reasons=("dull",))
    desk = Desk(make_review(write_folder(tmp_path, 3), plan(one)), "Ada", "Bo")
    other, worse, _ = sorted(desk.review.pictures)
    desk.all("Ada", "first", lambda key: "reject" if key == other else "keep")
    desk.all("Bo", "first", lambda key: "reject" if key == worse else "keep")
    with served_review(desk.review) as port:
        tab = Tab(browser, port, invite(desk.review.database, "Cleo", [one], arbiter=True), entry=1)
        tab.page.keyboard.press("f")
        assert tab.page.locator("#rater option").all_inner_texts() == ["any", "rater 1", "rater 2"]
        tab.page.select_option("#rater", "2")
        tab.page.click("#filter-form button")
        tab.page.wait_for_selector("#said:text-is('kept \u00b7 rejected')")
        tab.press("ArrowRight")
        tab.at("end")
        assert [desk.standing().of(one, key).ruling for key in (worse, other)] == ["keep", None]
        assert tab.complaints == []


def test_hostile_captions_and_names_stay_text(browser: Any, tmp_path: Path) -> None:
    texts = [text.replace("\0", "") for text in HOSTILE]
    folder = write_folder(tmp_path, captions=texts, name="<img src=x onerror=hit=1> {:02d} '\".png")
    review = make_review(
        folder, plan(Pass("captions", "captions"), guideline="# <script>window.hit = 1</script>\n<b>x</b>")
    )
    with served_review(review) as port:
        token = invite(review.database, "<img src=x onerror=window.hit=1>", review.plan.passes, arbiter=False)
        tab = Tab(browser, port, token)
        shown = set()
        for _ in texts:
            shown.add(tab.page.input_value("#caption"))
            tab.press("Control+Enter")
        assert shown == set(texts)
        assert tab.page.evaluate("window.hit") is None
        assert "<script>window.hit = 1</script>" in tab.page.text_content("#guide-panel")
        assert tab.complaints == []


def test_it_works_on_a_phone(browser: Any, tmp_path: Path) -> None:
    one = Pass("first", "grid", reasons=("dull",))
    review = make_review(write_folder(tmp_path, 5), plan(one))
    with served_review(review) as port:
        tab = Tab(browser, port, invite(review.database, "Ada", [one], arbiter=False), width=390)
        assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        tab.page.wait_for_timeout(200)
        tab.page.locator(".tile").nth(0).tap()
        tab.page.locator("[data-for=grid] .reasons button").nth(0).tap()
        tab.page.locator("#commit").tap()
        tab.at("end")
        assert said(review) == [("reject", "dull", ""), *[("keep", "", "")] * 4]
        assert tab.complaints == []


def test_a_turned_phone_lays_the_sheet_out_anew_and_keeps_its_marks(browser: Any, tmp_path: Path) -> None:
    one = Pass("first", "grid", reasons=("dull",))
    review = make_review(write_folder(tmp_path, 12), plan(one))
    with served_review(review) as port:
        tab = Tab(browser, port, invite(review.database, "Ada", [one], arbiter=False))
        assert tab.page.locator(".tile").count() == 12
        tab.page.wait_for_timeout(200)
        tab.page.keyboard.press("1")
        tab.page.set_viewport_size({"width": 390, "height": 844})
        eventually(tab.page, lambda: 0 < tab.page.locator(".tile").count() < 12)
        box = tab.page.locator(".tile").nth(0).bounding_box()
        assert box["width"] > 120
        assert tab.page.get_attribute(".tile", "data-reason") == "dull"
        while tab.page.get_attribute("body", "data-screen") == "grid":
            tab.page.keyboard.press("Enter")
            tab.page.wait_for_timeout(100)
        assert Counter(said(review)) == {("reject", "dull", ""): 1, ("keep", "", ""): 11}
        assert tab.complaints == []
