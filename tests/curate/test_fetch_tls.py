"""Fetching over TLS, and names: the certificate is checked for the name, the connection goes where it was checked."""

import datetime
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import trustme
from test_fetch import GOOD, INNER, MOST, OPEN, POLICY, Server, served

from emu.curate import Funnel, curate
from emu.curate.fetch import Fetch, fetch
from emu.data.pictures import BadPicture
from haystack import SEEN, Here, config

NAME = "pictures.example"
PAST = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)


class Secure(Server):
    """The same server over TLS; keeps the names that it is asked for."""

    def __init__(self, address: str, certificate: trustme.LeafCert) -> None:
        super().__init__(address)
        self.asked: list[str | None] = []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(self.context)
        self.context.sni_callback = lambda _, name, __: self.asked.append(name)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """The handshake in the request's own thread."""
        try:
            with self.context.wrap_socket(request, server_side=True) as secure:
                super().finish_request(secure, client_address)
        except OSError:  # the other side did not like the certificate
            pass


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """What this machine trusts, for the length of a test."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return authority


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """A name service: name -> the addresses that it gives, one a question, the last one for ever."""
    known: dict[str, list[str]] = {}
    real = socket.getaddrinfo

    def look_up(host: str, port: Any, *more: Any, **how: Any) -> Any:
        if host in known:
            host = known[host].pop(0) if len(known[host]) > 1 else known[host][0]
        return real(host, port, *more, **how)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known


@pytest.fixture
def inner() -> Iterator[Server]:
    yield from served(Server(INNER))


@pytest.fixture
def opened() -> Iterator[Callable[[trustme.LeafCert], Secure]]:
    """Starts servers at OPEN."""
    started: list[Iterator[Server]] = []

    def start(certificate: trustme.LeafCert) -> Secure:
        server = Secure(OPEN, certificate)
        started.append(served(server))
        next(started[-1])
        return server

    yield start
    for one in started:
        assert next(one, None) is None


def get(url: str, tmp_path: Path, policy: Fetch = POLICY) -> bytes:
    return fetch(url, policy, max_bytes=MOST, slots=tmp_path / "slots")


def test_the_certificate_is_checked_for_the_name_and_the_connection_goes_to_the_checked_address(
    authority: trustme.CA, names: dict[str, list[str]], opened: Any, inner: Server, tmp_path: Path
) -> None:
    server = opened(authority.issue_cert(NAME))
    names[NAME] = [OPEN, INNER]  # a second question would be answered with what is not let in
    assert get(f"https://{NAME}:{server.server_address[1]}/a.jpg", tmp_path) == GOOD
    assert server.asked == [NAME]
    assert server.hits == {"/a.jpg": 1}
    with pytest.raises(BadPicture, match=f"refused: {NAME} is {INNER}"):
        get(f"https://{NAME}:{server.server_address[1]}/a.jpg", tmp_path)
    assert inner.hits == Counter()


def test_an_address_in_place_of_a_name_needs_a_certificate_of_its_own(
    authority: trustme.CA, opened: Any, tmp_path: Path
) -> None:
    server = opened(authority.issue_cert(OPEN))
    assert get(f"https://{OPEN}:{server.server_address[1]}/a.jpg", tmp_path) == GOOD
    other = opened(authority.issue_cert(NAME))
    with pytest.raises(BadPicture, match="its certificate is refused"):
        get(f"https://{OPEN}:{other.server_address[1]}/a.jpg", tmp_path)


def test_certificates_that_are_none_are_refused_once_and_named_in_the_manifest(
    authority: trustme.CA, names: dict[str, list[str]], opened: Any, tmp_path: Path
) -> None:
    wrong = {
        "other.example": authority.issue_cert(NAME),
        "late.example": authority.issue_cert("late.example", not_before=PAST, not_after=PAST.replace(year=2002)),
        "own.example": trustme.CA().issue_cert("own.example"),
    }
    servers = {name: opened(certificate) for name, certificate in wrong.items()}
    names |= {name: [OPEN] for name in wrong}
    urls = [f"https://{name}:{server.server_address[1]}/a.jpg" for name, server in servers.items()]
    pq.write_table(pa.table({"image": urls, "text": ["a text"] * 3}), tmp_path / "hay.parquet")
    document = config(SEEN, fetch={"allow": list(POLICY.allow), "retries": 2, "wait": 0.05})
    with pytest.raises(Exception, match="nothing is left, of 3 that came 3 failed"):
        curate(Funnel(document), str(tmp_path / "hay.parquet"), tmp_path / "out", engine=Here())
    reasons = [row["reason"] for row in pq.read_table(tmp_path / "out" / "manifest.parquet").to_pylist()]
    said = ("Hostname mismatch, certificate is not valid for 'other.example'", "certificate has expired", "self-signed")
    for reason, one in zip(reasons, said, strict=True):
        assert reason.startswith("its certificate is refused (")
        assert one in reason.replace("unable to get local issuer certificate", "self-signed")
    for server in servers.values():
        assert server.hits == Counter()  # nothing was asked of them
        assert len(server.asked) == 1


def test_redirects_are_checked_as_first_addresses_are(
    authority: trustme.CA, names: dict[str, list[str]], opened: Any, inner: Server, tmp_path: Path
) -> None:
    names |= {NAME: [OPEN], "home.example": ["10.0.0.7"]}
    server = opened(authority.issue_cert(NAME))
    there = f"https://{NAME}:{server.server_address[1]}"
    for plain in served(Server(OPEN)):
        assert get(plain.url(f"/to={there}/a.jpg"), tmp_path) == GOOD
        assert server.hits == {"/a.jpg": 1}
        other = f"https://{OPEN}:{server.server_address[1]}/a.jpg"
        with pytest.raises(BadPicture, match="its certificate is refused"):
            get(plain.url(f"/to={other}"), tmp_path)
    port = inner.server_address[1]
    for inward in (f"http://{INNER}:{port}/a.jpg", f"https://{INNER}:{port}/a.jpg", "https://home.example/a.jpg",
                   "http://169.254.169.254/latest/meta-data/", "file:///etc/passwd"):  # fmt: skip
        with pytest.raises(BadPicture, match="refused"):
            get(f"{there}/to={inward}", tmp_path)
    assert inner.hits == Counter()


@pytest.mark.parametrize("host", ["169.254.169.254", "10.0.0.1", "[fd00::1]", "0xa000001", "167772161", "012.0.0.1",
                                  "private.example", "link.example", "mapped.example"])  # fmt: skip
def test_hosts_that_are_private_are_not_even_connected_to(
    host: str, names: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names |= {
        "private.example": ["10.9.8.7"],
        "link.example": ["169.254.169.254"],
        "mapped.example": ["::ffff:10.0.0.1"],
    }
    monkeypatch.setattr(socket, "create_connection", lambda *_: pytest.fail("it was connected to"))
    for scheme in ("http", "https"):
        with pytest.raises(BadPicture, match="refused: .*, no public address"):
            get(f"{scheme}://{host}/a.jpg", tmp_path)


def test_bytes_and_time_are_bounded_over_tls_too(
    authority: trustme.CA, names: dict[str, list[str]], opened: Any, tmp_path: Path
) -> None:
    names[NAME] = [OPEN]
    server = opened(authority.issue_cert(NAME))
    there = f"https://{NAME}:{server.server_address[1]}"
    for path in ("/endless", "/told"):
        with pytest.raises(BadPicture, match="longer than 100,000 bytes"):
            get(there + path, tmp_path)
    assert server.sent < 16_000_000
    began = time.monotonic()
    with pytest.raises(BadPicture, match="took longer than 1 seconds"):
        get(f"{there}/drip", tmp_path, Fetch(allow=POLICY.allow, timeout=2, deadline=1, retries=0))
    assert time.monotonic() - began < 2.5


@pytest.mark.parametrize(
    "says", [b"", b"HTTP/1.1 200 OK\r\nX-Slow: ", b"\x16\x03\x01\x02\x00"], ids=["none", "headers", "handshake"]
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_server_that_drips_for_ever_is_left_at_the_deadline(says: bytes, scheme: str, tmp_path: Path) -> None:
    with socket.create_server((OPEN, 0)) as listening:
        ended = threading.Event()

        def drip() -> None:
            connection, _ = listening.accept()
            with connection:
                try:
                    connection.sendall(says)
                    while not ended.wait(0.1):
                        connection.sendall(b"x" if says else b"")
                except OSError:
                    pass

        thread = threading.Thread(target=drip)
        thread.start()
        began = time.monotonic()
        with pytest.raises(BadPicture, match="took longer than 0.5 seconds|connection failed"):
            get(f"{scheme}://{OPEN}:{listening.getsockname()[1]}/", tmp_path,
                Fetch(allow=POLICY.allow, timeout=5, deadline=0.5, retries=0))  # fmt: skip
        assert time.monotonic() - began < 2
        ended.set()
        thread.join()
