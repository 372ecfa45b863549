"""Fetching, against servers on this machine alone: polite, bounded, and never inward."""

import http.server
import ipaddress
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emu.curate import Funnel, curate
from emu.curate.addresses import is_open, networks
from emu.curate.fetch import Fetch, fetch
from emu.curate.pool import Pool
from emu.data.pictures import BadPicture
from emu.errors import UserError
from haystack import SEEN, config, content

GOOD = content("good", 1)
OPEN, INNER = "127.0.0.2", "127.0.0.1"  # both are of this machine; the policy below knows the first one alone
POLICY = Fetch(allow=[f"{OPEN}/32"], timeout=2, deadline=4, retries=1, wait=0.05, per_host=2)
MOST = 100_000


class Server(http.server.ThreadingHTTPServer):
    """Counts what it is asked, and how much of it at once."""

    daemon_threads = True

    def __init__(self, address: str) -> None:
        super().__init__((address, 0), Handler)
        self.hits: Counter[str] = Counter()
        self.sent = self.now = self.most = 0
        self.lock = threading.Lock()

    def url(self, path: str) -> str:
        return f"http://{self.server_address[0]!s}:{self.server_address[1]}{path}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.hits[self.path] += 1
            self.server.now += 1
            self.server.most = max(self.server.most, self.server.now)
        try:
            self.answer()
        except OSError:  # the other side had enough
            pass
        finally:
            with self.server.lock:
                self.server.now -= 1

    def answer(self) -> None:
        name, _, value = self.path.strip("/").partition("=")
        match name:
            case "to":
                return self.reply(302, b"", Location=value)
            case "loop":
                return self.reply(302, b"", Location="/loop")
            case "html":
                return self.reply(200, b"<html>", kind="text/html")
            case "gone":
                return self.reply(404, b"")
            case "busy":
                first = self.server.hits[self.path] == 1
                return self.reply(503, b"", **{"Retry-After": "0"}) if first else self.reply(200, GOOD)
            case "noai":
                return self.reply(200, GOOD, **{"X-Robots-Tag": "noarchive, NoAI"})
            case "noindex":  # headers are named in any case: two of one name
                return self.reply(200, GOOD, **{"X-Robots-Tag": "max-snippet: 5", "x-robots-tag": "noindex"})
            case "cut":
                return self.reply(200, GOOD[:100], length=len(GOOD))
            case "told":
                return self.reply(200, b"", length=10**9)
            case "endless" | "drip" | "silent":
                return self.stream(name)
            case "slow":
                time.sleep(0.1)
        return self.reply(200, GOOD)

    def reply(
        self, status: int, body: bytes, *, kind: str = "image/jpeg", length: int | None = None, **more: str
    ) -> None:
        self.send_response(status)
        for key, value in {"Content-Type": kind, "Content-Length": str(length or len(body)), **more}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def stream(self, name: str) -> None:
        if name == "silent":
            time.sleep(8)
            return
        self.send_response(200)
        self.send_header("Content-Type", "image/jpeg")
        self.end_headers()
        for _ in range(10_000):
            chunk = b"x" * (65536 if name == "endless" else 1)
            self.wfile.write(chunk)
            self.server.sent += len(chunk)
            if name == "drip":
                time.sleep(0.3)


def served(server: Server) -> Iterator[Server]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def outer() -> Iterator[Server]:
    yield from served(Server(OPEN))


@pytest.fixture
def inner() -> Iterator[Server]:
    yield from served(Server(INNER))


def get(url: str, tmp_path: Path, policy: Fetch = POLICY) -> bytes:
    return fetch(url, policy, max_bytes=MOST, slots=tmp_path / "slots")


def test_a_picture_is_fetched_through_redirects_and_when_a_server_is_no_longer_busy(
    outer: Server, tmp_path: Path
) -> None:
    assert get(outer.url("/a.jpg?x=1"), tmp_path) == GOOD
    assert get(outer.url("/to=/to=/b.jpg"), tmp_path) == GOOD
    assert get(outer.url("/busy"), tmp_path) == GOOD
    assert outer.hits["/a.jpg?x=1"] == 1
    assert outer.hits["/busy"] == 2


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/gone", "HTTP 404"),
        ("/html", "content type text/html"),
        ("/noai", "its owner says noai"),
        ("/noindex", "its owner says noindex"),
        ("/loop", "more than 3 redirects"),
        ("/cut", r"cut off after 100 of .*, 2 times"),
        ("/told", "longer than 100,000 bytes"),
        ("/to=file:///etc/passwd", "refused: file, not http"),
        ("/to=ftp://example.org/a.jpg", "refused: ftp, not http"),
        ("/to=http://user:word@example.org/a.jpg", "a user's name in it"),
    ],
)
def test_what_is_no_picture_is_refused_with_its_reason(outer: Server, tmp_path: Path, path: str, said: str) -> None:
    with pytest.raises(BadPicture, match=said):
        get(outer.url(path), tmp_path)


def test_bytes_and_time_are_bounded_whatever_a_server_does(outer: Server, tmp_path: Path) -> None:
    with pytest.raises(BadPicture, match="longer than"):
        get(outer.url("/endless"), tmp_path)
    assert outer.sent < 16_000_000  # of 655: what was on its way in buffers
    began = time.monotonic()
    with pytest.raises(BadPicture, match="took longer than 1 seconds"):
        get(outer.url("/drip"), tmp_path, Fetch(allow=POLICY.allow, timeout=2, deadline=1, retries=0))
    assert time.monotonic() - began < 2.5
    with pytest.raises(BadPicture, match=r"connection failed \(TimeoutError"):
        get(outer.url("/silent"), tmp_path, Fetch(allow=POLICY.allow, timeout=0.5, deadline=5, retries=0))


@pytest.mark.parametrize(
    "host",
    [INNER, "localhost", "2130706433", "0x7f000001", "017700000001", "127.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"],
)
def test_nothing_inward_is_ever_asked(inner: Server, outer: Server, tmp_path: Path, host: str) -> None:
    port = inner.server_address[1]
    for url in (f"http://{host}:{port}/a.jpg", outer.url(f"/to=http://{host}:{port}/a.jpg")):
        with pytest.raises(BadPicture, match="refused|host not found"):
            get(url, tmp_path)
    assert inner.hits == Counter()


@pytest.mark.parametrize(
    ("address", "wanted"),
    [
        ("8.8.8.8", True), ("2606:4700::1111", True), ("10.1.2.3", False), ("172.16.0.1", False),
        ("192.168.1.1", False), ("169.254.169.254", False), ("100.64.0.1", False), ("0.0.0.0", False),
        ("224.0.0.1", False), ("255.255.255.255", False), ("127.0.0.1", False), ("::1", False), ("fe80::1", False),
        ("fc00::1", False), ("ff02::1", False), ("::ffff:10.0.0.1", False), ("2002:a00:1::", False),
        ("64:ff9b::a00:1", False), ("::", False), ("64:ff9b:1::1", False), ("fec0::1", False), ("feff::1", False),
        ("4000::1", False), ("5f00::1", False), ("::127.0.0.1", False), ("::8.8.8.8", False), ("3fff::1", False),
        ("2001:db8::1", False), ("192.0.0.8", False), ("192.88.99.1", False), ("240.0.0.1", False), ("ff0e::1", False),
        ("198.18.0.1", False), ("2001:4860:4860::8888", True),
    ],
)  # fmt: skip
def test_which_addresses_are_public(address: str, wanted: bool) -> None:
    assert is_open(ipaddress.ip_address(address), []) is wanted
    assert is_open(ipaddress.ip_address(address), networks(["0.0.0.0/0", "::/0"]))


@pytest.mark.parametrize("url", ["http://", "http:///a.jpg", "//a/b.jpg", "http://[::1/a", "http://a:b/c", "file:///etc/passwd",
                                 "http://a b/c", "http://\u202e/", "http://" + "a" * 300 + "/"])  # fmt: skip
def test_what_is_no_address_costs_a_line(url: str, tmp_path: Path) -> None:
    with pytest.raises(BadPicture):
        get(url, tmp_path)


def test_a_host_is_asked_for_few_at_a_time_by_all_workers_together(outer: Server, tmp_path: Path) -> None:
    urls = [outer.url(f"/slow={i}") for i in range(24)]
    pq.write_table(pa.table({"image": urls, "text": ["a text"] * 24}), tmp_path / "hay.parquet")
    fetching = {"allow": [f"{OPEN}/32"], "per_host": 3}
    curate(Funnel(config(SEEN, fetch=fetching)), str(tmp_path / "hay.parquet"), tmp_path / "out", engine=Pool(2))
    assert sum(outer.hits.values()) == 24
    assert 2 <= outer.most <= 3


def test_a_haystack_of_addresses_is_accounted_for_and_fetched_once(
    outer: Server, inner: Server, tmp_path: Path
) -> None:
    urls = [outer.url("/a.jpg"), outer.url("/gone"), inner.url("/b.jpg"), "file:///etc/passwd", outer.url("/html")]
    table = {"image": urls, "text": ["a text"] * 5, "license": ["CC0"] * 5}
    pq.write_table(pa.table(table), tmp_path / "hay.parquet")
    document = config(SEEN, fetch={"allow": [f"{OPEN}/32"]}, data={"columns": {"license": "string"}})
    curate(Funnel(document), str(tmp_path / "hay.parquet"), tmp_path / "out", engine=Pool(1))
    rows = pq.read_table(tmp_path / "out" / "manifest.parquet").to_pylist()
    assert [row["source"] for row in rows] == urls
    assert [row["status"] for row in rows] == ["kept", *["failed"] * 4]
    assert [row["reason"].partition(":")[0].partition(",")[0] for row in rows[1:]] == [
        "HTTP 404",
        "refused",
        "refused",
        "content type text/html",
    ]
    assert (tmp_path / "out" / rows[0]["file"]).read_bytes() == GOOD
    assert outer.hits["/a.jpg"] == 1
    assert inner.hits == Counter()


def test_a_network_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"fetch.allow: .* networks are written as"):
        curate(Funnel(config(SEEN, fetch={"allow": ["home"]})), str(tmp_path), tmp_path / "out", engine=Pool(1))
