"""The guard: what every page of the desk has around it, so that a new route is closed until it is opened.

A request needs the right Host, a session (but for the door, `/join/...`), and, where it changes anything, a JSON body
with our header from our own page. Every answer carries the same headers: nothing is kept, framed, sniffed or loaded
from elsewhere.
"""

from collections.abc import Callable, Collection

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from emu.desk.raters import Rater

COOKIE = "emu_desk"
OUR_HEADER = "x-emu-desk"  # another site's form cannot send it, and its script would have to ask us first
DOOR = "/join/"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",  # the link is in the address
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
NO_SESSION = "This page opens with an invitation link. Ask whoever runs the study for yours.\n"


class Guard:
    """Lets requests through to `app` with `request.state.rater` set.

    Args:
        rater_of: a session's token -> whose it is.
        hosts: the host names that the desk answers to; empty for any.
    """

    def __init__(self, app: ASGIApp, *, rater_of: Callable[[str], Rater | None], hosts: Collection[str] = ()) -> None:
        self.app = app
        self.rater_of = rater_of
        self.hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":  # no page of the desk speaks WebSocket
            await self.answer(Request(scope), receive, _with_headers(send))

    async def answer(self, request: Request, receive: Receive, send: Send) -> None:
        refusal = self.refuse(request)
        if refusal is None and not request.url.path.startswith(DOOR):
            session = request.cookies.get(COOKIE, "")
            request.state.rater = await run_in_threadpool(self.rater_of, session) if session else None
            if request.state.rater is None:
                refusal = PlainTextResponse(NO_SESSION, status_code=401)
        await (refusal or self.app)(request.scope, receive, send)

    def refuse(self, request: Request) -> PlainTextResponse | None:
        """The answer to a request that is not from our own page, whoever sends it."""
        if self.hosts and host_name(request.headers.get("host", "")) not in self.hosts:
            return PlainTextResponse("Unknown host.\n", status_code=421)
        if request.method in ("GET", "HEAD"):
            return None
        foreign = request.headers.get("sec-fetch-site", "same-origin") != "same-origin"
        json = request.headers.get("content-type", "").partition(";")[0].strip() == "application/json"
        if foreign or not json or request.headers.get(OUR_HEADER) != "1":
            return PlainTextResponse("Not from this page.\n", status_code=403)
        return None


def host_name(host: str) -> str:
    """`127.0.0.1:8765` -> `127.0.0.1`, `[::1]:8765` -> `::1`."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(HEADERS)
        await send(message)

    return sending
