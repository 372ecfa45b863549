"""Every route of the review against who has no business there: no session, another rater, a pass not theirs."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the extra `desk` is not installed")

from emu.data.sources.entry import LONGEST_CAPTION
from emu.desk.guard import HEADERS
from emu.desk.messages import LONGEST
from emu.desk.pages import app
from emu.desk.raters import revoke
from emu.desk.review.app import MOST_ANSWERS, ReviewPage
from emu.desk.review.plan import LONGEST_REASON
from emu.desk.review.raters import invite
from emu.desk.review.study import Review
from reviewers import make_review, served_review, write_folder
from voters import OURS, Voter, declared

ROUTES = [  # (path as declared, method): the test below holds this against the app itself
    ("/", "GET"), ("/join/{link}", "GET"), ("/review.css", "GET"), ("/review.js", "GET"), ("/review.svg", "GET"),
    ("/desk.css", "GET"), ("/desk.js", "GET"), ("/small/{card}", "GET"), ("/picture/{card}", "GET"),
    ("/desk", "POST"), ("/hand", "POST"), ("/answer", "POST"), ("/tokens", "POST"),
]  # fmt: skip
CLOSED = [(path, method) for path, method in ROUTES if path != "/join/{link}"]
TRAVERSALS = [
    "/../etc/passwd", "/..%2f..%2fetc%2fpasswd", "/small/../../etc/passwd", "/picture/%2e%2e%2fmetadata.jsonl",
    "/picture/..\\..\\etc\\passwd", "/metadata.jsonl", "/review.sqlite", "/images/0000.png", "/app.py", "/%00",
    "/picture/%00", "/small/%ff%fe", "/picture/", "/.review/sums.json", "/review.html", "/picture/" + "a" * 5000,
]  # fmt: skip
HAND: dict[str, Any] = {"ruling": False, "concept": "", "score": "", "low": 0.5, "high": 1.5, "rater": 0}


@pytest.fixture(scope="module")
def review(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Review]:
    made = make_review(write_folder(tmp_path_factory.mktemp("secret-place") / "needles", 8))
    yield made
    made.database.close()


@pytest.fixture(scope="module")
def port(review: Review) -> Iterator[int]:
    with served_review(review) as port:
        yield port


@pytest.fixture(scope="module")
def raters(review: Review, port: int) -> list[Voter]:
    """Ada does the first pass, Bo too, and Cleo the first and settles it."""
    first = review.plan.passes[:1]
    invited = [("Ada", False), ("Bo", False), ("Cleo", True)]
    return [Voter(port).join(invite(review.database, name, first, arbiter=arbiter)) for name, arbiter in invited]


def looks(rater: Voter, of: str = "generalists", **more: Any) -> Any:
    status, told = rater.post("/hand", of=of, **HAND | more)
    assert status == 200, told
    return told["open"]


def answer(look: Any, **changes: Any) -> dict[str, Any]:
    own = {"id": look["id"], "turn": look["turn"], "choice": "keep", "reason": "", "text": "", "milliseconds": 9}
    return own | changes


def test_the_list_of_routes_is_the_apps(review: Review) -> None:
    assert declared(app(ReviewPage(review))) == {
        *ROUTES,
        *((path, "HEAD") for path, method in ROUTES if method == "GET"),
    }


@pytest.mark.parametrize(("path", "method"), CLOSED)
def test_without_a_session_every_route_is_closed(port: int, raters: list[Voter], path: str, method: str) -> None:
    look = looks(raters[0])[0]["id"]
    for cookie in ("", "x", "a" * 43, "../../etc/passwd"):
        guest = Voter(port, cookie, jar=raters[0].jar)
        status, headers, _ = guest.send(method, path.replace("{card}", look), "{}", **OURS)
        assert status == 401
        assert headers["content-security-policy"] == HEADERS["Content-Security-Policy"]


def test_another_raters_looks_are_not_there(raters: list[Voter]) -> None:
    look = looks(raters[0])[0]
    for size in ("small", "picture"):
        assert raters[0].send("GET", f"/{size}/{look['id']}")[0] == 200
        assert raters[1].send("GET", f"/{size}/{look['id']}")[0] == 404
    assert raters[1].post("/answer", of="generalists", answers=[answer(look)]) == (200, {"statuses": ["unknown"]})


@pytest.mark.parametrize("of", ["specialists", "captions", "nothing", ""])
def test_a_pass_that_one_is_not_invited_to_is_closed(raters: list[Voter], of: str) -> None:
    look = looks(raters[0])[0]
    assert raters[0].post("/hand", of=of, **HAND)[0] == 403
    assert raters[0].post("/answer", of=of, answers=[answer(look)])[0] == 403


def test_who_is_no_arbiter_does_not_see_what_others_said(raters: list[Voter]) -> None:
    assert raters[0].post("/hand", of="generalists", **HAND | {"ruling": True})[0] == 403
    assert raters[2].post("/hand", of="generalists", **HAND | {"ruling": True})[0] == 200
    assert all("said" not in look for look in looks(raters[0]))
    passes = raters[0].post("/desk")[1]["passes"]
    assert [one["name"] for one in passes] == ["generalists"]
    assert "disputed" not in passes[0]


@pytest.mark.parametrize("path", ["/desk", "/hand", "/answer", "/tokens"])
def test_a_post_from_elsewhere_is_refused_though_the_cookie_is_right(raters: list[Voter], path: str) -> None:
    for headers in ({}, {"Content-Type": "application/json"}, {**OURS, "Sec-Fetch-Site": "cross-site"}):
        assert raters[0].send("POST", path, "{}", **headers)[0] == 403


@pytest.mark.parametrize("path", TRAVERSALS)
def test_nothing_outside_of_the_routes_is_readable(raters: list[Voter], port: int, path: str) -> None:
    for rater in (raters[0], Voter(port)):
        status, _, body = rater.send("GET", path)
        assert status in (400, 401, 404)
        assert b"root:" not in body
        assert b"secret-place" not in body


def test_bad_messages_change_nothing(raters: list[Voter]) -> None:
    look = looks(raters[0])[0]
    good = answer(look)
    assert raters[0].post("/answer", of="generalists", answers=[]) == (200, {"statuses": []})
    bad: Any
    for bad in (
        {}, [{}], ["x"], [good | {"turn": "0"}], [good | {"turn": -1}], [good | {"turn": True}],
        [good | {"reason": "x" * 201}], [good | {"text": "x" * (LONGEST_CAPTION + 1)}], [good | {"more": 1}],
        [{}] * (MOST_ANSWERS + 1),
    ):  # fmt: skip
        assert raters[0].post("/answer", of="generalists", answers=bad)[0] == 400
    assert raters[0].post("/answer", of="generalists", answers=[good | {"choice": "maybe"}])[0] == 404
    assert raters[0].send("POST", "/answer", "x" * (LONGEST + 1), **OURS)[0] == 413
    for low in (float("nan"), float("inf"), 10**400, True, "1"):
        body = json.dumps({"of": "generalists", **HAND, "low": low})
        assert raters[0].send("POST", "/hand", body, **OURS)[0] == 400
    for whole in (0, 10**10, -3, 10**300):  # JSON does not tell whole numbers from others
        assert raters[0].post("/hand", of="generalists", **HAND | {"low": whole, "high": whole})[0] == 200
    assert looks(raters[0])[0]["turn"] == look["turn"]


def test_all_of_a_message_is_stored_or_nothing(raters: list[Voter]) -> None:
    first, second, *_ = looks(raters[0])
    half = [answer(first), answer(second, choice="maybe")]
    assert raters[0].post("/answer", of="generalists", answers=half)[0] == 404
    assert [look["turn"] for look in looks(raters[0])[:2]] == [0, 0]


def test_half_characters_and_zeros_are_stored_as_text(raters: list[Voter]) -> None:
    look = looks(raters[0])[0]
    message = {"of": "generalists", "answers": [answer(look, choice="reject", reason="x\ud800\0y")]}
    assert raters[0].send("POST", "/answer", json.dumps(message), **OURS)[0] == 200
    told = raters[0].post("/hand", of="generalists", **HAND)[1]["before"]
    assert told[-1]["reason"] == "x?y"


def test_a_link_that_was_closed_opens_nothing(review: Review, port: int) -> None:
    token = invite(review.database, "Dora", review.plan.passes, arbiter=False)
    dora = Voter(port).join(token)
    assert dora.post("/desk")[0] == 200
    revoke(review.database, "Dora")
    assert dora.post("/desk")[0] == 401
    assert Voter(port).send("GET", f"/join/{token}")[0] == 404


def test_the_longest_that_is_allowed_is_taken_and_one_more_says_by_how_much(raters: list[Voter]) -> None:
    """A whole sheet with the longest reasons, and a caption each of whose characters takes six bytes."""
    opened = looks(raters[0])
    sheet = [answer(look, choice="reject", reason="\u0001" * LONGEST_REASON) for look in opened]
    assert raters[0].post("/answer", of="generalists", answers=sheet * (MOST_ANSWERS // len(sheet)))[0] == 200
    long = answer(opened[0], turn=1, text="\u0001" * LONGEST_CAPTION)
    assert raters[0].post("/answer", of="generalists", answers=[long])[0] == 200
    status, told = raters[0].post("/answer", of="generalists", answers=[long | {"text": "x" * (LONGEST_CAPTION + 1)}])
    assert (status, told) == (400, "the caption has 20,001 characters, and 20,000 is the most")
