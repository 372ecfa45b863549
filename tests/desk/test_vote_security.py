"""Every route against who has no business there, and everything a rater gets against what would tell the sides."""

import asyncio
import io
import json
import re
import socket
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the extra `desk` is not installed")

from PIL import Image

from emu.desk.guard import HEADERS, UPDATED, host_name
from emu.desk.messages import LONGEST
from emu.desk.pages import app
from emu.desk.raters import invite as invite_one
from emu.desk.raters import revoke
from emu.desk.vote.app import VotePage
from emu.desk.vote.poll import Poll
from emu.layouts import runs
from voters import OURS, Voter, declared, invite, make_poll, served, served_app, write_run

ROUTES = [  # (path as declared, method): the test below holds this against the app itself
    ("/", "GET"), ("/join/{link}", "GET"), ("/vote.css", "GET"), ("/vote.js", "GET"), ("/vote.svg", "GET"),
    ("/desk.css", "GET"), ("/desk.js", "GET"), ("/picture/{card}/{side}", "GET"),
    ("/hand", "POST"), ("/begin", "POST"), ("/answer", "POST"),
]  # fmt: skip
CLOSED = [(path, method) for path, method in ROUTES if path != "/join/{link}"]
TRAVERSALS = [
    "/../etc/passwd", "/..%2f..%2fetc%2fpasswd", "/%2e%2e/%2e%2e/etc/passwd", "/picture/../../etc/passwd",
    "//etc/passwd", "/picture/%2e%2e%2f%2e%2e%2fetc%2fpasswd/a", "/picture/..\\..\\etc\\passwd/a",
    "/vote.js/../app.py", "/app.py", "/poll.py", "/votes.sqlite", "/step-000000/00000.png", "/picture/00000.png/a",
    "/%00", "/picture/%00/a", "/picture/%ff%fe/a", "/vote.js%00.py", "/picture//a", "/join/", "/join/..%2f..%2f",
    "/vote.html", "/static/vote.js", "/.well-known/x", "/picture/" + "a" * 5000 + "/a",
]  # fmt: skip


@pytest.fixture(scope="module")
def poll(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Poll]:
    made = make_poll(write_run(tmp_path_factory.mktemp("secret-model") / "run", 8))
    yield made
    made.database.close()


@pytest.fixture(scope="module")
def port(poll: Poll) -> Iterator[int]:
    with served(poll) as port:
        yield port


@pytest.fixture(scope="module")
def voters(poll: Poll, port: int) -> list[Voter]:
    return [Voter(port).join(token) for token in invite(poll, "Ada", "Bo")]


def filled(path: str, card: str = "0" * 32) -> str:
    return path.replace("{link}", "x").replace("{card}", card).replace("{side}", "a")


def test_the_list_of_routes_is_the_apps(poll: Poll) -> None:
    assert declared(app(VotePage(poll))) == {*ROUTES, *((path, "HEAD") for path, method in ROUTES if method == "GET")}


@pytest.mark.parametrize(("path", "method"), CLOSED)
@pytest.mark.parametrize("cookie", ["", "x", "a" * 43, "../../etc/passwd", "\x7f", "%00"])
def test_without_a_session_every_route_is_closed(
    port: int, voters: list[Voter], path: str, method: str, cookie: str
) -> None:
    card = voters[0].hand()["cards"][0]["id"]
    status, _, body = Voter(port, cookie, jar=voters[0].jar).send(method, filled(path, card), "{}", **OURS)
    assert status == 401
    assert b"invitation" in body


def test_a_cookie_that_was_changed_opens_nothing(port: int, voters: list[Voter]) -> None:
    cookie = voters[0].cookie
    for changed in (cookie[:-1], cookie + "A", cookie.swapcase(), cookie[1:] + cookie[0]):
        assert Voter(port, changed, jar=voters[0].jar).send("GET", "/")[0] == 401


def test_another_raters_cards_are_not_there(voters: list[Voter]) -> None:
    card = voters[0].hand()["cards"][0]
    assert voters[0].send("GET", f"/picture/{card['id']}/a")[0] == 200
    assert voters[1].send("GET", f"/picture/{card['id']}/a")[0] == 404
    assert voters[1].answer(card, "a")[0] == 404
    assert voters[1].answer(card, "undo", turn=1)[0] == 404


@pytest.mark.parametrize("path", ["/hand", "/begin", "/answer"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "application/json"},
        {"X-Emu-Desk": "1", "Content-Type": "text/plain"},
        {"X-Emu-Desk": "1", "Content-Type": "application/x-www-form-urlencoded"},
        {**OURS, "Sec-Fetch-Site": "cross-site"},
        {**OURS, "Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_post_from_elsewhere_is_refused_though_the_cookie_is_right(
    voters: list[Voter], path: str, headers: dict[str, str]
) -> None:
    assert voters[0].send("POST", path, "{}", **headers)[0] == 403


@pytest.mark.parametrize("path", ["/hand", "/begin", "/answer"])
def test_a_page_of_another_emu_is_asked_to_load_again(voters: list[Voter], path: str) -> None:
    status, _, said = voters[0].send("POST", path, "{}", **{**OURS, "X-Emu-Desk": "1"})
    assert (status, said) == (409, f"{UPDATED}\n".encode())
    _, _, page = voters[0].send("GET", "/")
    assert f'data-version="{OURS["X-Emu-Desk"]}"'.encode() in page


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "POST"])
def test_no_other_method_does_anything(voters: list[Voter], method: str) -> None:
    for path, _ in CLOSED:
        if method != "POST" or (path, "POST") not in ROUTES:
            assert voters[0].send(method, filled(path), "{}", **OURS)[0] in (404, 405)
            assert voters[0].send(method, filled(path), "{}")[0] in (403, 405)


@pytest.mark.parametrize("path", TRAVERSALS)
def test_nothing_outside_of_the_routes_is_readable(voters: list[Voter], port: int, path: str) -> None:
    for voter in (voters[0], Voter(port)):
        status, _, body = voter.send("GET", path)
        assert status in (400, 401, 404)
        assert b"root:" not in body
        assert b"PNG" not in body


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.evil", "169.254.169.254"])
def test_another_host_name_is_refused(port: int, voters: list[Voter], host: str) -> None:
    """A page elsewhere whose name turns into 127.0.0.1 after it was loaded."""
    assert Voter(port, voters[0].cookie, jar=voters[0].jar, host=host).send("GET", "/")[0] == 421


# What a Host header may say so that an address made from it is the door's.
DOORS = ["127.0.0.1:1/join/", "127.0.0.1/join/x?", "127.0.0.1:1/join/#", "a@127.0.0.1:1/join", "127.0.0.1:1\\join/"]


@pytest.mark.parametrize("host", DOORS)
@pytest.mark.parametrize("hosts", [(), ("127.0.0.1",)])
def test_a_host_header_that_ends_in_the_door_opens_nothing(poll: Poll, host: str, hosts: tuple[str, ...]) -> None:
    with served_app(lambda names: app(VotePage(poll), hosts=hosts)) as port:
        for path, method in CLOSED:
            status, _, body = Voter(port).send(method, filled(path), "{}", **OURS, Host=host)
            assert status in (400, 401, 421)
            assert b"Which picture" not in body


@pytest.mark.parametrize("path", ["/join/../", "/join/x/..", "/join//", "/join/x/y", "/JOIN/x", "/join%2fx", "/hand/"])
def test_no_path_that_looks_like_the_doors_gets_past_it(port: int, path: str) -> None:
    for method in ("GET", "POST"):
        status, headers, _ = Voter(port).send(method, path, "{}", **OURS)
        assert status in (401, 404, 405)
        assert "location" not in headers


@pytest.mark.parametrize(
    ("root", "path"), [("/join", "/join/hand"), ("/join/x", "/join/x/hand"), ("/x", "/x/hand"), ("/join/", "/hand")]
)
def test_a_server_below_a_path_closes_the_same_routes(poll: Poll, root: str, path: str) -> None:
    """What is behind the door is what the router sends there, wherever the app is put."""
    sent: list[Any] = []
    ours = [(name.lower().encode(), said.encode()) for name, said in OURS.items()]
    scope = {"type": "http", "method": "POST", "path": path, "root_path": root, "query_string": b"", "scheme": "http",
             "headers": [(b"host", b"a"), *ours]}  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(VotePage(poll))(scope, receive, send))
    assert sent[0]["status"] == 401


def test_host_names_are_read_without_their_port() -> None:
    good = {"127.0.0.1:80": "127.0.0.1", "[::1]:80": "::1", "A.example": "a.example", "[::1]": "::1", "a_b": "a_b"}
    assert {host: host_name(host) for host in good} == good
    assert [host_name(host) for host in ("", ":80", "a:b", "a:", "a/b", "a b", "a:1:2", "[::1", "x@a", *DOORS)] == [
        ""
    ] * 14


def test_two_studies_on_one_host_keep_their_raters_apart(poll: Poll, voters: list[Voter], tmp_path: Path) -> None:
    """A browser sends all cookies of a host to all of its ports."""
    other = make_poll(write_run(tmp_path / "run", 3))
    with served(other) as port:
        guest = Voter(port).join(invite(other, "Ada")[0])
        assert guest.jar != voters[0].jar
        both = {"Cookie": f"{voters[0].jar}={voters[0].cookie}; {guest.jar}={guest.cookie}"}
        assert Voter(port).send("POST", "/hand", "{}", **OURS, **both)[0] == 200
        assert Voter(voters[0].port).send("POST", "/hand", "{}", **OURS, **both)[0] == 200
        assert Voter(port, voters[0].cookie, jar=guest.jar).send("GET", "/")[0] == 401
    other.database.close()


def test_over_tls_the_cookie_is_for_tls_and_this_host_alone(poll: Poll) -> None:
    with served_app(lambda names: app(VotePage(poll), secure=True)) as port:
        _, headers, _ = Voter(port).send("GET", f"/join/{invite(poll, 'Tess')[0]}")
    name, _, attributes = headers["set-cookie"].partition("=")
    assert name.startswith("__Host-")
    assert {"Secure", "Path=/"} <= set(attributes.split("; "))
    assert "Domain" not in attributes


def test_a_new_invitation_ends_what_the_old_one_opened(poll: Poll, port: int) -> None:
    thief = Voter(port).join(invite(poll, "Gil")[0])
    assert thief.send("GET", "/")[0] == 200
    fresh = Voter(port).join(invite(poll, "Gil")[0])
    assert thief.send("GET", "/")[0] == 401
    assert fresh.send("GET", "/")[0] == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400), (b"[]", 400), (b"{", 400), (b"null", 400), (b"[" * 10_000, 400), (b"\xff\xfe", 400),
        (b"x" * (LONGEST + 1), 413), (b'{"id": 1}', 400),
    ],
)  # fmt: skip
def test_bodies_that_are_none(voters: list[Voter], body: bytes, status: int) -> None:
    assert voters[0].send("POST", "/answer", body, **OURS)[0] == status


@pytest.mark.parametrize(
    "changes",
    [
        {"turn": True}, {"turn": "0"}, {"turn": -1}, {"turn": 2**40}, {"turn": 0.0}, {"choice": None},
        {"choice": ["a"]}, {"reason": "x" * 1001}, {"id": "\ud800"}, {"more": 1}, {"milliseconds": None},
    ],
)  # fmt: skip
def test_fields_that_are_none(voters: list[Voter], changes: dict[str, Any]) -> None:
    card = voters[0].hand()["cards"][0]
    assert voters[0].answer(card, "a", **changes)[0] == 400
    assert voters[0].hand()["cards"][0]["turn"] == 0


def test_a_revoked_link_and_its_sessions_are_closed_and_the_votes_stay(poll: Poll, port: int) -> None:
    (token,) = invite(poll, "Cleo")
    voter = Voter(port).join(token)
    assert voter.answer(voter.hand()["cards"][0], "a")[0] == 200
    revoke(poll.database, "Cleo")
    assert voter.send("POST", "/hand", "{}", **OURS)[0] == 401
    assert Voter(port).send("GET", f"/join/{token}")[0] == 404
    fresh = Voter(port).join(invite_one(poll.database, "Cleo"))
    assert fresh.hand()["answered"] == 1


def test_links_are_long_and_neither_they_nor_sessions_lie_in_the_database(poll: Poll, voters: list[Voter]) -> None:
    tokens = invite(poll, "Dan", "Eve")
    assert min(map(len, tokens)) >= 43
    file = Path(str(poll.database.engine.url.database))
    content = b"".join(path.read_bytes() for path in file.parent.glob("votes.sqlite*"))
    assert all(secret.encode() not in content for secret in [*tokens, *(voter.cookie for voter in voters)])


def test_the_cookie_is_strict_and_the_headers_are_on_every_answer(poll: Poll, port: int, voters: list[Voter]) -> None:
    _, headers, _ = Voter(port).send("GET", f"/join/{invite(poll, 'Fay')[0]}")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(headers["set-cookie"].split("; "))
    assert "Secure" not in headers["set-cookie"]
    answers = [voters[0].send(method, filled(path), "{}", **OURS) for path, method in ROUTES]
    answers += [Voter(port).send("GET", "/"), voters[0].send("GET", "/nowhere"), voters[0].send("POST", "/hand")]
    for _, headers, _ in answers:
        assert {name: headers[name.lower()] for name in HEADERS} == HEADERS
        assert "server" not in headers


# What would tell the sides.


def test_a_hand_tells_nothing_but_cards(poll: Poll, voters: list[Voter]) -> None:
    told = voters[0].hand()
    assert told.keys() == {"question", "next", "cards", "training", "answered", "total", "last"}
    assert [card.keys() for card in told["cards"]] == [{"id", "turn", "training"}] * 3
    text = json.dumps(told) + "".join(
        voters[0].send("GET", path)[2].decode() for path in ("/", "/vote.js", "/vote.css")
    )
    words = {match.prompt for match in poll.matches.values()} | set(poll.matches)
    words |= {"before", "after", "step-", "seed", "tuned", "secret-model", ".png", "swapped", 'degraded"', 'repeat"'}
    assert [word for word in words if word in json.dumps(told)] == []
    assert re.search(r"secret-model|step-0|/tmp|\.png", text) is None


def test_both_sides_are_alike_but_for_their_pixels(poll: Poll, voters: list[Voter]) -> None:
    shown: dict[bool, int] = {True: 0, False: 0}
    for card in voters[0].hand()["cards"]:
        (a_status, a_headers, a), (b_status, b_headers, b) = (
            voters[0].send("GET", f"/picture/{card['id']}/{side}") for side in "ab"
        )
        for headers in (a_headers, b_headers):
            headers.pop("date")
        assert (a_status, a_headers, len(a)) == (b_status, b_headers, len(b))
        assert a_headers["cache-control"] == "no-store, no-transform"
        assert not {"etag", "last-modified", "content-disposition"} & a_headers.keys()
        for content in (a, b):
            picture = Image.open(io.BytesIO(content))
            assert (picture.format, picture.info, picture.size) == ("PNG", {}, (48, 48))
        shown[a > b] += 1
    assert sum(shown.values()) == 3


def test_neither_side_takes_longer(poll: Poll, voters: list[Voter], tmp_path: Path) -> None:
    """The first request of a pair makes both, so the second is as quick for one side as for the other."""
    card = voters[0].hand()["cards"][0]
    seconds: dict[str, list[float]] = {"a": [], "b": []}
    for _ in range(40):
        for side in ("a", "b"):
            started = time.perf_counter()
            voters[0].send("GET", f"/picture/{card['id']}/{side}")
            seconds[side].append(time.perf_counter() - started)
    a, b = statistics.median(seconds["a"]), statistics.median(seconds["b"])
    assert abs(a - b) < 0.005 + 0.25 * max(a, b)  # to make the second one alone would take as long as the request


def test_a_picture_that_is_gone_is_not_there_and_breaks_nothing(tmp_path: Path) -> None:
    poll = make_poll(write_run(tmp_path / "run", 3))
    with served(poll) as port:
        voter = Voter(port).join(invite(poll, "Ada")[0])
        card = voter.hand()["cards"][0]
        for path in (tmp_path / "run").glob("step-*/*.png"):
            path.unlink()
        assert voter.send("GET", f"/picture/{card['id']}/a")[0] == 404
        assert voter.answer(card, "a")[0] == 200
    poll.database.close()
    assert runs.complete_steps(tmp_path / "run") == [0, 20]


def test_half_a_message_does_nothing_and_is_no_error(poll: Poll, port: int, caplog: pytest.LogCaptureFixture) -> None:
    """A tab that is closed, or a network that goes, in the midst of sending."""
    voter = Voter(port).join(*invite(poll, "half"))
    card = voter.hand()["cards"][0]
    said = {"Host": f"127.0.0.1:{port}", "Cookie": f"{voter.jar}={voter.cookie}", "Content-Length": "500", **OURS}
    head = "".join(f"{name}: {value}\r\n" for name, value in said.items())
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(f'POST /answer HTTP/1.1\r\n{head}\r\n{{"id": "{card["id"]}", '.encode())
    assert voter.hand()["cards"][0] == card
    time.sleep(0.2)
    assert not [one for one in caplog.records if one.levelname == "ERROR"]
