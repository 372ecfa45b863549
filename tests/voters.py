"""What tests of the vote page share: runs to vote on, the page served in this process or by the command, raters."""

import asyncio
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import select
from starlette.routing import Mount

from emu.compare.reading import read_run
from emu.desk import raters
from emu.desk.database import Database
from emu.desk.dealing import Presence
from emu.desk.deck import Answer, Status
from emu.desk.pages import app, version
from emu.desk.serving import Address, listen, server
from emu.desk.vote.app import VotePage
from emu.desk.vote.assignment import Hand, deal
from emu.desk.vote.ballots import answer, begin, question_of
from emu.desk.vote.cards import cards, events
from emu.desk.vote.poll import Poll, open_poll
from emu.layouts import runs
from emu.layouts.quality_json import Quality, write_quality

OURS = {"Content-Type": "application/json", "X-Emu-Desk": version()}


def write_run(run: Path, count: int = 6, *, prompts: list[str] | None = None, base: int = 0, tuned: int = 1) -> Path:
    """A run whose pictures are noise: `base` and `tuned` seed the two steps, so runs of one base share their before."""
    prompts = prompts or [f"a {i} of number{i}" for i in range(count)]
    for step, seed in ((0, base), (20, tuned)):
        folder = runs.step_folder(run, step)
        rows = []
        for i, prompt in enumerate(prompts):
            pixels = np.random.default_rng([seed, i]).integers(0, 256, (48, 48, 3), dtype=np.uint8)
            runs.save_picture(folder / runs.picture_name(i), pixels)
            rows.append(
                {"file": runs.picture_name(i), "prompt": prompt, "seed": i, "index": i, "sampler": {"steps": 5}}
            )
        runs.write_samples(folder, rows)
    write_quality(run, Quality(name=run.name, best_step=20))
    return run


def make_poll(*folders: Path, url: str | None = None, **options: Any) -> Poll:
    """A poll without training and checks but for those asked for."""
    plain = {"training": 0, "checks": 0.0, "repeats": 0.0}
    database = Database(url) if url else Database.in_file(folders[0] / "votes.sqlite")
    return open_poll(database, [read_run(folder) for folder in folders], **plain | options)


@dataclass
class Voter:
    """A rater without a browser. Each request is its own connection."""

    port: int
    cookie: str = ""
    host: str = "127.0.0.1"
    jar: str = "emu_desk"  # the cookie's name, which is the poll's own

    def send(
        self, method: str, path: str, body: str | bytes = b"", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """The path goes out as it stands."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        content = body.encode() if isinstance(body, str) else body
        own = {"Host": f"{self.host}:{self.port}", "Content-Length": str(len(content))}
        own |= {"Cookie": f"{self.jar}={self.cookie}"} if self.cookie else {}
        for name, value in (own | headers).items():
            connection.putheader(name, value)
        connection.endheaders(content)
        answer = connection.getresponse()
        found = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        connection.close()
        return found

    def join(self, token: str) -> "Voter":
        status, headers, _ = self.send("GET", f"/join/{token}")
        assert status == 200
        self.jar, self.cookie = headers["set-cookie"].split(";")[0].split("=", 1)
        return self

    def post(self, path: str, **fields: Any) -> tuple[int, Any]:
        status, _, body = self.send("POST", path, json.dumps(fields), **OURS)
        return status, json.loads(body) if body.startswith(b"{") else body.decode()

    def hand(self) -> Any:
        status, told = self.post("/hand")
        assert status == 200, told
        return told

    def answer(self, shown: Any, chosen: str, **changes: Any) -> tuple[int, Any]:
        own = {"id": shown["id"], "turn": shown["turn"], "choice": chosen, "reason": "", "milliseconds": 900}
        return self.post("/answer", **own | changes)


@contextmanager
def served(poll: Poll) -> Iterator[int]:
    """The poll's page, in a thread of this process; yields its port."""
    with served_app(lambda names: app(VotePage(poll), hosts=names)) as port:
        yield port


@contextmanager
def served_app(made: Callable[[tuple[str, ...]], Any]) -> Iterator[int]:
    """An app made for the host names that it answers to."""
    listening, where = listen(Address("127.0.0.1", 0), invited=[])
    running = server(made(where.names))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.01)
    try:
        yield where.port
    finally:
        running.should_exit = True
        thread.join()


def declared(app: Any) -> set[tuple[str, str]]:
    """(path, method) of every route of an app: its own, and those of the one app that is mounted in it."""
    (inner,) = [route.app.app for route in app.routes if isinstance(route, Mount)]
    found = [route for route in [*app.routes, *inner.routes] if not isinstance(route, Mount)]
    return {(route.path, method) for route in found for method in route.methods}


class Command:
    """`emu vote RUN`, or another page, as a process of its own, on one port for all its lives."""

    def __init__(self, run: Path, *flags: str, port: int, page: str = "vote") -> None:
        self.argv = [sys.executable, "-m", "emu", page, str(run), "--no-browser", "--port", str(port), *flags]
        self.start()

    def start(self) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(self.argv, stdout=subprocess.PIPE, env=environment, text=True)
        assert self.process.stdout is not None
        self.link = self.process.stdout.readline().strip().split(" at ")[-1]

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, nothing is closed."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def invite(poll: Poll, *names: str) -> list[str]:
    """Tokens of new links."""
    return [raters.invite(poll.database, name) for name in names]


class Table:
    """A poll with raters who answer without a page between."""

    def __init__(self, poll: Poll, *names: str) -> None:
        self.poll = poll
        self.presence = Presence()
        sessions = [raters.join(poll.database, token) or "" for token in invite(poll, *names)]
        found = [raters.rater_of(poll.database, session) for session in sessions]
        self.raters = [rater.id for rater in found if rater is not None]

    def hand(self, rater: int, question: str | None = None) -> Hand:
        with self.poll.database.writing() as connection:
            self.presence.note(rater)
            asked = question or question_of(self.poll, connection, rater)
            return deal(self.poll, connection, rater, asked, self.presence)

    def answer(self, rater: int, shown: Any, choice: str, **changes: Any) -> Status:
        given = {"id": shown.id, "turn": shown.turn, "choice": choice, "reason": "", "milliseconds": 1} | changes
        with self.poll.database.writing() as connection:
            return answer(self.poll, connection, rater, Answer(**given))[0]

    def begin(self, rater: int) -> Hand:
        with self.poll.database.writing() as connection:
            return begin(self.poll, connection, rater, self.presence)

    def cards(self) -> list[Any]:
        with self.poll.database.reading() as connection:
            return list(connection.execute(select(cards).order_by(cards.c.rater, cards.c.position)))

    def stored(self) -> list[tuple[int, str]]:
        with self.poll.database.reading() as connection:
            return [(row.turn, row.choice) for row in connection.execute(select(events).order_by(events.c.id))]


CHROMIUM_FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


HOSTILE = [
    "<script>window.hit = 1</script>",
    "<img src=x onerror=window.hit=1>",
    "<svg onload=window.hit=1>",
    "</p><script>hit=1</script>",
    '"><img src=x onerror=hit=1>',
    "'><svg/onload=hit=1>",
    "javascript:window.hit=1",
    "<iframe srcdoc='<script>parent.hit=1</script>'>",
    "<a href=javascript:hit=1>x</a>",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "${hit=1}",
    "<!-- -->",
    "]]>",
    "<style>*{display:none}</style>",
    "<link rel=stylesheet href=//x>",
    "<base href=//evil.example>",
    "<meta http-equiv=refresh content=0;url=//x>",
    "<math><mtext></p><script>hit=1",
    "<body onload=hit=1>",
    "<input autofocus onfocus=hit=1>",
    "<details open ontoggle=hit=1>",
    "&lt;script&gt;hit=1&lt;/script&gt;",
    "&#x3c;b&#x3e;",
    "\u202eevil\u202c right to left",
    "a\u0000b",
    "\u001b[31mred\u001b[0m",
    "\ufeffzero\u200bwidth",
    '=HYPERLINK("//x")',
    "\U0001f600" * 30,
]


async def kill(server: Command, raters: Sequence[Any], moments: list[int], rng: random.Random) -> None:
    """Kill and start again once so many answers have been acknowledged, and a little later."""
    for moment in moments:
        while sum(len(rater.acknowledged) for rater in raters) < moment:
            await asyncio.sleep(0.005)
        await asyncio.sleep(rng.uniform(0, 0.2))
        server.kill()
        await asyncio.sleep(rng.uniform(0, 0.5))
        await asyncio.to_thread(server.start)
