"""The guard: what every page of the desk has around it, so that a new route is closed until it is opened.

`Guard` stands around the whole app: a request needs the right Host and, where it changes anything, a JSON body with our
header from our own page; every answer carries the same headers: nothing is kept, framed, sniffed or loaded from
elsewhere. `Members` stands around all routes but the door, `/join/...`, and asks for a session. Which of the two a
request reaches is the router's decision, by the path that it routes by; nothing here compares addresses.
"""

import re
from collections.abc import Callable, Collection

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from emu.desk.raters import Rater

OUR_HEADER = "x-emu-desk"  # another site's form cannot send it, and its script would have to ask us first
UPDATED = "emu was updated since this page was opened; load it again, and what you began is still there"
HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?", re.IGNORECASE)
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store, no-transform",  # a proxy that compresses or converts a picture would tell two apart
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",  # the link is in the address
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
NO_SESSION = "This page opens with an invitation link. Ask whoever runs the study for yours.\n"


class Guard:
    """Lets through to `app` what comes for one of `hosts`, or for any host where there are none, from our own page.

    Args:
        version: of the page; what one of another version sends may mean something else.
    """

    def __init__(self, app: ASGIApp, *, hosts: Collection[str] = (), version: str) -> None:
        self.app, self.version = app, version
        self.hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":  # no page of the desk speaks WebSocket
            refusal = self.refuse(Request(scope))
            await (refusal or self.app)(scope, receive, _with_headers(send))

    def refuse(self, request: Request) -> PlainTextResponse | None:
        """The answer to a request that is not from our own page, whoever sends it."""
        host = host_name(request.headers.get("host", ""))
        if not host or (self.hosts and host not in self.hosts):
            return PlainTextResponse("Unknown host.\n", status_code=421)
        if request.method in ("GET", "HEAD"):
            return None
        foreign = request.headers.get("sec-fetch-site", "same-origin") != "same-origin"
        json = request.headers.get("content-type", "").partition(";")[0].strip() == "application/json"
        version = request.headers.get(OUR_HEADER)
        if foreign or not json or version is None:
            return PlainTextResponse("Not from this page.\n", status_code=403)
        return None if version == self.version else PlainTextResponse(f"{UPDATED}\n", status_code=409)


class Members:
    """Lets raters through to `app`, with `request.state.rater` set.

    Args:
        rater_of: a session's token -> whose it is.
        cookie: the name of the cookie that holds the token.
    """

    def __init__(self, app: ASGIApp, *, rater_of: Callable[[str], Rater | None], cookie: str) -> None:
        self.app = app
        self.rater_of = rater_of
        self.cookie = cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        session = request.cookies.get(self.cookie, "")
        rater = await run_in_threadpool(self.rater_of, session) if session else None
        if rater is None:
            await PlainTextResponse(NO_SESSION, status_code=401)(scope, receive, send)
        else:
            request.state.rater = rater
            await self.app(scope, receive, send)


def host_name(host: str) -> str:
    """`127.0.0.1:8765` -> `127.0.0.1`, `[::1]:8765` -> `::1`; empty for what is no host and port, all of it."""
    found = HOST.fullmatch(host)
    return (found[1] or found[2]).lower() if found else ""


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(HEADERS)
        await send(message)

    return sending
