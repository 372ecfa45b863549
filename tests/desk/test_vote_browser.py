"""The vote page in a real browser: keys, two tabs, lost connections, hostile captions, and how quick it is."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the extra `desk` is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")

from sqlalchemy import select

from emu.desk.vote.cards import cards, events
from emu.desk.vote.poll import Poll
from tabs import CHROMIUM, Page, eventually
from voters import HOSTILE, invite, make_poll, served, write_run

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@pytest.fixture
def poll(tmp_path: Path) -> Iterator[Poll]:
    made = make_poll(write_run(tmp_path / "run", 5))
    yield made
    made.database.close()


def stored(poll: Poll) -> list[Any]:
    with poll.database.reading() as connection:
        return list(connection.execute(select(events).order_by(events.c.id)))


def test_keys_answer_both_questions_and_undo(browser: Any, poll: Poll) -> None:
    context = browser.new_context()
    with served(poll) as port:
        rater = Page(context, port, invite(poll, "Ada")[0]).begin()
        assert not rater.page.is_visible("#caption")
        for key in ("ArrowLeft", "ArrowRight", "Space", "ArrowDown"):
            rater.press(key)
        rater.press("Backspace")
        rater.page.fill("#reason", "sharper")
        rater.page.keyboard.press("Enter")
        rater.press("ArrowLeft")
        rater.press("ArrowRight")
        assert [row.choice for row in stored(poll)] == ["a", "b", "tie", "tie", "undo", "a", "b"]
        assert [row.reason for row in stored(poll)][-2:] == ["sharper", ""]
        assert rater.page.inner_text("#end-title") == "The first part is done"
        rater.page.keyboard.press("Enter")
        rater.page.wait_for_selector("body[data-screen=intro]")
        rater.begin()
        with poll.database.reading() as connection:
            shown = connection.execute(select(cards.c.pair).where(cards.c.id == rater.card)).scalar()
        assert rater.page.inner_text("#caption") == poll.matches[shown].prompt
        for key in ("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Space"):
            rater.press(key)
        assert [row.choice for row in stored(poll)][7:] == ["a", "b", "both", "neither", "both"]
        assert rater.page.inner_text("#end-title") == "Thank you"
    assert rater.complaints == []
    context.close()


def test_training_tells_the_answer_and_counts_for_nothing(browser: Any, tmp_path: Path) -> None:
    poll = make_poll(write_run(tmp_path / "run", 5), training=2)
    context = browser.new_context()
    with served(poll) as port:
        rater = Page(context, port, invite(poll, "Ada")[0]).begin()
        for right in ("degraded", "identical"):
            with poll.database.reading() as connection:
                card = connection.execute(select(cards).where(cards.c.id == rater.card)).one()
            assert card.kind == f"training-{right}"
            rater.page.wait_for_timeout(170)
            rater.page.keyboard.press("ArrowRight" if card.swapped else "ArrowLeft")
            rater.page.wait_for_selector("#feedback:not([hidden])")
            said = rater.page.inner_text("#feedback-text")
            good = right != "identical" and card.swapped == (stored(poll)[-1].choice == "b")
            assert said.startswith("Right: ") == good
            assert right != "identical" or said == "Tie would be right: both are the same picture."
            mark = rater.page.evaluate("getComputedStyle(document.querySelector('#feedback-text'), '::before').content")
            assert mark[1] == ("\u2713" if good else "\u2715")  # the style knows the class that the script gives
            rater.press("Enter")
        assert rater.page.is_disabled("#undo")
        assert rater.page.inner_text("#part") == "Visual appeal"
    assert rater.complaints == []
    context.close()
    poll.database.close()


def test_two_tabs_of_one_rater_give_one_vote_a_pair(browser: Any, poll: Poll) -> None:
    context = browser.new_context()
    with served(poll) as port:
        token = invite(poll, "Ada")[0]
        one, other = (Page(context, port, token).begin() for _ in range(2))
        assert one.card == other.card
        one.press("ArrowLeft")
        other.press("ArrowRight")  # stale: the tab moves on, the first answer stays
        assert [row.choice for row in stored(poll)] == ["a"]
        assert one.card == other.card
    context.close()


def test_a_double_click_and_a_held_key_answer_once(browser: Any, poll: Poll) -> None:
    context = browser.new_context()
    with served(poll) as port:
        rater = Page(context, port, invite(poll, "Ada")[0]).begin()
        rater.page.wait_for_timeout(200)
        before = rater.card
        rater.page.dblclick("#answers [data-choice=a]")
        rater.page.wait_for_selector(f'#pair:not([data-card="{before}"])')
        rater.page.wait_for_timeout(400)
        assert len(stored(poll)) == 1
        before = rater.card
        for _ in range(10):
            rater.page.keyboard.down("ArrowLeft")  # one press and nine repeats
        rater.page.keyboard.up("ArrowLeft")
        rater.page.wait_for_selector(f'#pair:not([data-card="{before}"])')
        rater.page.wait_for_timeout(400)
        assert len(stored(poll)) == 2
    context.close()


def test_a_lost_connection_is_told_and_the_answer_arrives_once(browser: Any, poll: Poll) -> None:
    context = browser.new_context()
    with served(poll) as port:
        rater = Page(context, port, invite(poll, "Ada")[0]).begin()
        before = rater.card
        lost = []

        def lose(route: Any) -> None:
            lost.append(route.request.post_data)
            if len(lost) == 1:
                route.abort()  # it never reaches the server
            elif len(lost) == 2:
                route.fetch()  # it is stored, and the acknowledgement is lost
                route.abort()
            else:
                route.continue_()

        rater.page.route("**/answer", lose)
        rater.page.wait_for_timeout(170)
        rater.page.keyboard.press("ArrowLeft")
        rater.page.wait_for_selector("#status:not(:empty)")
        assert rater.card == before
        rater.page.wait_for_selector(f'#pair:not([data-card="{before}"])')
        rater.page.wait_for_selector("#status:empty", state="attached")
        assert len(set(lost)) == 1
        assert len(lost) == 3
        assert [row.choice for row in stored(poll)] == ["a"]
    context.close()


def test_hostile_captions_and_names_stay_text(browser: Any, tmp_path: Path) -> None:
    poll = make_poll(write_run(tmp_path / "run", prompts=HOSTILE), appeal=0, faithfulness=30)
    context = browser.new_context()
    with served(poll) as port:
        rater = Page(context, port, invite(poll, "Ada")[0]).begin()
        seen = []
        for _ in HOSTILE:
            seen.append(rater.page.text_content("#caption"))
            assert rater.page.evaluate("typeof window.hit") == "undefined"
            rater.press("ArrowUp")
        assert sorted(seen) == sorted(HOSTILE)
        assert rater.complaints == []
        for name in HOSTILE[:24]:
            rater.page.goto(f"http://127.0.0.1:{port}/join/{invite(poll, name)[0]}")
            rater.page.wait_for_url(f"http://127.0.0.1:{port}/", wait_until="load")
            assert rater.page.text_content(".who") == name
            assert rater.page.evaluate("typeof window.hit") == "undefined"
        assert rater.complaints == []
    context.close()
    poll.database.close()


def test_the_policy_stops_what_would_get_through(browser: Any, poll: Poll) -> None:
    """Were a caption ever written as HTML, nothing of it would run: tried from inside of the page."""
    context = browser.new_context()
    with served(poll) as port:
        rater = Page(context, port, invite(poll, "Ada")[0])
        rater.page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.hit = 1\">')")
        rater.page.evaluate(
            "document.body.append(Object.assign(document.createElement('script'), {text: 'window.hit = 1'}))"
        )
        rater.page.wait_for_timeout(200)
        assert rater.page.evaluate("typeof window.hit") == "undefined"
        assert any("Content Security Policy" in complaint for complaint in rater.complaints)
    context.close()


@pytest.mark.parametrize(("width", "height"), [(390, 844), (844, 390), (1280, 800), (320, 568)])
@pytest.mark.parametrize("question", ["appeal", "faithfulness"])
def test_everything_is_on_the_screen(browser: Any, tmp_path: Path, width: int, height: int, question: str) -> None:
    """Both pictures whole, no scrolling, buttons that a thumb hits; whatever the caption's length."""
    run = write_run(tmp_path / "run", prompts=["a fox " * 60, "word" * 80])
    poll = make_poll(run, **{"appeal": 0, "faithfulness": 0, question: 1})
    context = browser.new_context(viewport={"width": width, "height": height}, has_touch=True, is_mobile=width < 1000)
    with served(poll) as port:
        rater = Page(context, port, invite(poll, "Ada")[0]).begin()
        boxes = [rater.page.locator(which).bounding_box() for which in ("#picture-a img", "#picture-b img")]
        buttons = [button.bounding_box() for button in rater.page.locator("#answers button").all()]
        for box in [*boxes, *buttons]:
            assert box["x"] >= 0
            assert box["y"] >= 0
            assert box["x"] + box["width"] <= width
            assert box["y"] + box["height"] <= height
        assert abs(boxes[0]["width"] - boxes[1]["width"]) < 1
        assert boxes[0]["width"] >= 0.27 * min(width, height)
        assert min(button["height"] for button in buttons) >= 40
        assert rater.page.evaluate("document.documentElement.scrollWidth") <= width
        rater.page.wait_for_timeout(170)
        rater.page.tap("#answers [data-choice=a]")
        eventually(rater.page, lambda: len(stored(poll)) == 1)
    context.close()
    poll.database.close()
