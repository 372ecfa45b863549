"""Models that all workers of a pool share: one process measures for whoever asks, a small picture at a time.

Where it dies, the pool starts another one and who waited asks again. Only one picture is looked at at once, and who
asked is told when it begins: so it is known of which picture the process died, and that one pays with its row where it
happens again and again.
"""

import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BytesIO
from multiprocessing import parent_process
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from threading import Lock, Thread
from typing import NamedTuple

from PIL import Image

from emu.curate.allocator import hand_back
from emu.curate.config import Funnel
from emu.curate.picture import Picture
from emu.curate.stage import Row, Stage
from emu.curate.work import Work
from emu.data.pictures import BadPicture
from emu.data.sources import Entry
from emu.errors import UserError

RETRIES = 2  # as of a worker's deaths
PATIENCE = 60.0  # seconds until a worker gives up that another process of models is started
SOON = 0.05  # seconds
WAITING = 256  # workers that may connect at once


@dataclass(frozen=True)
class Address:
    """Where the process listens, and what it wants to hear."""

    path: str
    key: bytes


class Failure(NamedTuple):
    """An exception whose class another process may not have."""

    kind: str
    message: str


Answer = Row | Failure | BadPicture | UserError


class Asked(Stage):
    """A stage as a worker has it: what it measures, the process of models measures.

    Args:
        stage: the one that is asked.
        number: its place in the funnel.
    """

    def __init__(self, stage: Stage, number: int, address: Address) -> None:
        self.name, self.columns, self.side = stage.name, stage.columns, stage.side
        self.number, self.address = number, address
        self.pipe: Connection | None = None

    def measure(self, picture: Picture) -> Row:
        """As the stage. RuntimeError: its process died of this picture, again and again."""
        image = picture.small(self.side or 0)
        question = self.number, picture.name, picture.text, image.size, image.tobytes()
        for _ in range(RETRIES + 1):
            found = self._ask(question)
            if isinstance(found, BadPicture | UserError):
                raise found
            if isinstance(found, Failure):
                raise type(found.kind, (Exception,), {})(found.message)
            if found is not None:
                return found
        raise RuntimeError("its model's process died of it, again and again")

    def _ask(self, question: object) -> Answer | None:
        """The answer; None where the process died of it."""
        while True:
            begun = False
            try:
                pipe = self.pipe = self.pipe or self._connected()
                pipe.send(question)
                begun = pipe.recv()
                found: Answer = pipe.recv()
                return found
            except (EOFError, OSError):  # it is gone: of this picture, or while others were looked at
                self.pipe = None
                if begun:
                    return None

    def _connected(self) -> Connection:
        """SystemExit where nobody will listen: the pool is gone, or hears of this worker's end."""
        until, pool = time.monotonic() + PATIENCE, parent_process()
        while True:
            try:
                return Client(self.address.path, authkey=self.address.key)
            except (EOFError, OSError):
                if time.monotonic() > until or (pool and not pool.is_alive()):
                    raise SystemExit(1) from None
                time.sleep(SOON)


def shares(funnel: Funnel) -> bool:
    """Whether a stage has a model that workers share."""
    return any(step.stage.shared for step in funnel.steps)


def asking(funnel: Funnel, address: Address) -> None:
    """Make a worker's funnel one that asks."""
    funnel.steps = [
        replace(step, stage=Asked(step.stage, number, address)) if step.stage.shared else step
        for number, step in enumerate(funnel.steps)
    ]


def serve(work: Work, address: Address, threads: int, parent: Connection) -> None:
    """The process: until its parent is gone. Tells it once that it listens."""
    hand_back()
    with suppress(FileNotFoundError):
        os.unlink(address.path)  # of the one before, which died
    listener = Listener(address.path, backlog=WAITING, authkey=address.key)
    stages = [step.stage for step in work.funnel.steps]
    for stage in stages:
        stage.threads = threads
    Thread(target=_accept, args=(listener, stages), daemon=True).start()
    with suppress(EOFError, OSError):
        parent.send("listens")
        parent.recv()
    shutil.rmtree(Path(address.path).parent, ignore_errors=True)
    os._exit(0)  # not waiting for a picture that nobody asks for any more


def _accept(listener: Listener, stages: list[Stage]) -> None:
    alone = Lock()
    while True:
        with suppress(EOFError, OSError):  # a worker that died while it connected
            Thread(target=_answer, args=(listener.accept(), stages, alone), daemon=True).start()


def _answer(pipe: Connection, stages: list[Stage], alone: Lock) -> None:
    """One worker's questions, until it is gone."""
    with suppress(EOFError, OSError):
        while True:
            number, name, text, size, pixels = pipe.recv()
            picture = Picture(Entry(name, text, BytesIO), b"", side=0, max_pixels=0)
            picture.image = Image.frombytes("RGB", size, pixels)
            with alone:
                pipe.send(True)
                found = _measured(stages[number], picture)
            pipe.send(found)


def _measured(stage: Stage, picture: Picture) -> Answer:
    picture.kept = {stage.side or 0: picture.image}
    try:
        return stage.measure(picture)
    except (BadPicture, UserError) as error:
        return error
    except Exception as error:
        return Failure(type(error).__name__, str(error))
