"""Pictures behind addresses, fetched politely and with care.

So many at a time, and fewer of one host, whatever the number of workers on a machine; again after a while where a
server is busy; never longer, never more bytes than said; no cookies, no credentials, no proxies.
"""

import fcntl
import hashlib
import http.client
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urljoin, urlsplit

from emu.curate.addresses import Connection, Network, SecureConnection, networks
from emu.data.pictures import BadPicture
from emu.errors import UserError

REDIRECTS = 3
CHUNK = 1 << 16
BUSY = (408, 425, 429, 500, 502, 503, 504)
LONGEST_WAIT = 60.0  # seconds, whatever a server asks for
NO_LEARNING = ("noai", "noimageai", "noindex", "noimageindex")  # X-Robots-Tag: the owner does not want this


@dataclass(frozen=True)
class Fetch:
    """How pictures are fetched: section `fetch` of the config.

    Args:
        parallel: fetched at a time by each worker; they are in memory.
        per_host: of one host at a time, by all workers of this machine together.
        timeout: seconds without an answer.
        deadline: seconds that one picture may take in all.
        retries: after failures that may pass, each after twice the wait of the one before.
        wait: seconds before the first of them.
        allow: networks that are not public and may be fetched from, such as 10.1.0.0/16.
        user_agent: by which servers know you; say who you are.
    """

    parallel: int = 16
    per_host: int = 4
    timeout: float = 10
    deadline: float = 60
    retries: int = 2
    wait: float = 1
    allow: tuple[str, ...] = ()
    user_agent: str = "emu-curate"

    def __post_init__(self) -> None:
        """UserError: one of `allow` is no network, or nothing could ever be fetched."""
        networks(self.allow)
        for name in ("parallel", "per_host", "timeout", "deadline"):
            if not getattr(self, name) > 0:
                raise UserError(f"fetch.{name}: {getattr(self, name)}: more than 0")
        if self.retries < 0 or self.wait < 0:
            raise UserError("fetch: retries and wait are at least 0")

    @property
    def networks(self) -> list[Network]:
        return networks(self.allow)


class Busy(Exception):
    """A failure that may pass; after how many seconds, if the server said so."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


def fetch(url: str, policy: Fetch, *, max_bytes: int, slots: Path) -> bytes:
    """The bytes behind an address. BadPicture: why there are none."""
    for attempt in range(policy.retries + 1):
        try:
            with slot(slots, urlsplit(url).hostname or "", policy.per_host):
                return _follow(url, policy, max_bytes)
        except Busy as busy:
            if attempt == policy.retries:
                raise BadPicture(f"{busy}, {attempt + 1} times") from None
            time.sleep(min(busy.after or policy.wait * 2**attempt, LONGEST_WAIT))
        except (ValueError, http.client.InvalidURL) as error:  # an address that cannot be one
            raise BadPicture(f"no address ({error})") from None
    raise AssertionError("the last attempt returns or raises")


def _follow(url: str, policy: Fetch, max_bytes: int) -> bytes:
    """Through redirects, each checked as the first address was."""
    until = time.monotonic() + policy.deadline
    for _ in range(REDIRECTS + 1):
        found = _once(urlsplit(url), policy, max_bytes, until)
        if isinstance(found, bytes):
            return found
        url = urljoin(url, found)
    raise BadPicture(f"more than {REDIRECTS} redirects")


def _once(url: SplitResult, policy: Fetch, max_bytes: int, until: float) -> bytes | str:
    """The bytes, or where to look instead."""
    if url.scheme not in ("http", "https") or not url.hostname:
        raise BadPicture(f"refused: {url.scheme or 'no scheme'}, not http or https")
    if url.username is not None:
        raise BadPicture("refused: an address with a user's name in it")
    kind, port = (SecureConnection, 443) if url.scheme == "https" else (Connection, 80)
    connection = kind(url.hostname, url.port or port, allowed=policy.networks, timeout=policy.timeout)
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    headers = {"User-Agent": policy.user_agent, "Accept": "image/*", "Accept-Encoding": "identity"}
    try:
        with _ended(connection, until):
            connection.request("GET", path, headers=headers)
            found = _answer(connection.getresponse(), max_bytes)
        if time.monotonic() >= until:  # then it was ended, and may look like a whole one
            raise BadPicture(f"took longer than {policy.deadline:g} seconds")
        return found
    except ssl.SSLCertVerificationError as error:  # no matter of waiting
        raise BadPicture(f"its certificate is refused ({error.verify_message.rstrip('.')})") from None
    except (OSError, http.client.HTTPException) as error:
        if time.monotonic() >= until:
            raise BadPicture(f"took longer than {policy.deadline:g} seconds") from None
        raise Busy(f"connection failed ({type(error).__name__}: {error})") from None
    finally:
        connection.close()


def _answer(response: http.client.HTTPResponse, max_bytes: int) -> bytes | str:
    location = response.headers.get("Location")
    if response.status in (301, 302, 303, 307, 308) and location:
        return location
    if response.status in BUSY:
        after = response.headers.get("Retry-After", "")
        raise Busy(f"HTTP {response.status}", float(after) if after.isdigit() else None)
    if response.status != 200:
        raise BadPicture(f"HTTP {response.status}")
    kind = response.headers.get_content_type()
    if not kind.startswith("image/") and kind not in ("application/octet-stream", "binary/octet-stream", "text/plain"):
        raise BadPicture(f"content type {kind}, no picture")
    said = ",".join(response.headers.get_all("X-Robots-Tag", []))  # a line each, or all in one
    asked = {word.strip().lower() for word in said.split(",")}
    if refused := sorted(asked.intersection(NO_LEARNING)):
        raise BadPicture(f"its owner says {refused[0]} (X-Robots-Tag)")
    promised = int(response.headers.get("Content-Length") or 0)
    content = bytearray()
    while promised <= max_bytes >= len(content) and (chunk := response.read(CHUNK)):
        content += chunk
    if max(promised, len(content)) > max_bytes:
        raise BadPicture(f"longer than {max_bytes:,} bytes")
    if len(content) < promised:
        raise Busy(f"cut off after {len(content):,} of {promised:,} bytes")
    return bytes(content)


@contextmanager
def _ended(connection: Connection, until: float) -> Iterator[None]:
    """Ends the connection at its deadline: a server may send a byte now and then for ever."""

    def end() -> None:
        with suppress(OSError):
            if connection.opened is not None:
                connection.opened.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, until - time.monotonic()), end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def slot(folder: Path, host: str, number: int) -> Iterator[None]:
    """One of the `number` places of a host, shared by all threads and processes of this machine."""
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(host.lower().encode()).hexdigest()[:16]
    while True:
        for place in range(number):
            lock = os.open(folder / f"{name}.{place}", os.O_RDWR | os.O_CREAT)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                continue
            try:
                yield
            finally:
                os.close(lock)
            return
        time.sleep(0.02)
