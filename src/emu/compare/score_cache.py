"""Scores that were given once: known by the picture's pixels, the prompt and who judged.

One SQLite file, so that two processes may use it at once and a kill in the midst of writing costs no score that was
kept before. A judge that changed in anything its description tells, a library's version among it, is another judge.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emu.errors import FULL, UserError, of_the_system, system_error
from emu.storage.shapes import Card

FILE = "scores.sqlite"
PATIENCE = 60.0  # seconds that one process waits for another to finish writing
TABLE = "create table if not exists scores (key blob primary key, score real not null) without rowid"


class ScoreCache:
    """Scores in a folder, which is made where there is none. Raises UserError where what lies there is damaged."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        with self._named_errors():
            folder.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(self.path, timeout=PATIENCE)
            with self._base:
                self._base.execute(TABLE)

    def get(self, key: bytes) -> float | None:
        """The score kept under a key of `score_key`."""
        with self._named_errors():
            row = self._base.execute("select score from scores where key = ?", (key,)).fetchone()
        return None if row is None else float(row[0])

    def put(self, scores: Iterable[tuple[bytes, float]]) -> None:
        """Keep them, all or none; on disk when this returns."""
        with self._named_errors(), self._base:
            self._base.executemany("insert or replace into scores values (?, ?)", scores)

    def close(self) -> None:
        """Let go of the file."""
        self._base.close()

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            if (system := system_error(error)) and system.errno in FULL:
                raise UserError(of_the_system(system, self.path)) from error
            raise UserError(f"{self.path}: no cache of scores ({error}); remove it, or name another --cache") from error


def score_key(pixels: NDArray[np.uint8], prompt: str, card: Card) -> bytes:
    """32 bytes that differ for other pixels, uint8 (h,w,3), another prompt and another judge's card."""
    digest = hashlib.sha256(json.dumps([pixels.shape, prompt, dict(sorted(card.items()))]).encode())
    digest.update(pixels.tobytes())
    return digest.digest()
