"""A run goes on with the set that it began with: what it was lies in `data.json` of the run folder.

Names, order, captions and sizes are compared before a model is loaded. Contents are summed up by a thread while that
goes on, those first that look touched; what was not touched since it was summed up is not read again.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event, Thread
from typing import Any, NotRequired, TypedDict
from unicodedata import normalize

import lightning as L
from lightning.pytorch.utilities import rank_zero_warn

from emu.data import CuratedData
from emu.data.pictures import Opener
from emu.data.sources.openers import stamp
from emu.data.survey import Picture
from emu.errors import UserError
from emu.layouts import runs
from emu.storage import files
from emu.storage.records import read_json

NAMED = 3  # differences that a message lists


class Row(TypedDict):
    """A picture, in the order of the set."""

    name: str
    captions: str  # digest
    size: list[int]  # height, width
    content: NotRequired[str]  # sha256 of its file
    touched: NotRequired[list[int]]  # bytes, nanoseconds of the last change of content and of anything


class Document(TypedDict):
    """data.json."""

    pictures: list[Row]
    prompts: str


class SameSet(L.Callback):
    """Writes `data.json` where a run begins; UserError where one goes on with another set or other prompts."""

    def __init__(self) -> None:
        super().__init__()
        self._sums: Sums | None = None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """After the set was looked at, and before the model is loaded."""
        if stage != "fit":
            return
        data: CuratedData = trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it without declaring it
        run = Path(trainer.default_root_dir)
        then, now = require_same_set(run, data)
        if then:
            now["pictures"] = [{**row, **known} for known, row in zip(then["pictures"], now["pictures"], strict=True)]
        if trainer.is_global_zero:
            path, pictures = run / runs.DATA, data.train_pictures + data.held_out_pictures
            files.write_json(path, now)
            self._sums = Sums(now, [one.entry.open for one in pictures], path, root=data.root)

    def on_train_batch_start(self, *args: Any) -> None:
        """UserError where a picture was found to be another one by now."""
        if self._sums:
            self._sums.check()

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Read no more."""
        if self._sums:
            self._sums.stop()


class Sums:
    """The contents of a set, summed up by a thread and kept in `path`."""

    def __init__(self, document: Document, openers: Sequence[Opener], path: Path, *, root: str) -> None:
        self.document, self.openers, self.path, self.root = document, openers, path, root
        self._changed: list[str] = []
        self._ended = Event()
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def check(self) -> None:
        """UserError: contents are not what they were."""
        if self._changed:
            raise refusal(self.root, _listed([f"{name} is another picture" for name in self._changed]))

    def stop(self) -> None:
        """End the thread; what is summed up is kept."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        rows = self.document["pictures"]
        for i in sorted(range(len(rows)), key=lambda i: "content" not in rows[i]):  # those with a sum to hold up first
            if self._ended.is_set():
                break
            if not same_content(rows[i], self.openers[i]):
                self._changed.append(rows[i]["name"])
        try:
            if not self._changed and self.path.exists():
                files.write_json(self.path, self.document)
        except OSError as error:
            rank_zero_warn(f"{self.path}: not kept ({error.strerror}); the set will be read again")


def same_content(row: Row, opener: Opener) -> bool:
    """Whether a picture has the content that its row says; a row without one is given it."""
    try:
        touched = stamp(opener)
        if touched and touched == row.get("touched") and "content" in row:
            return True
        with opener() as stream:
            content = files.sha256(stream)
    except (OSError, ValueError):  # gone or damaged by now: whoever decodes it says so
        return True
    if row.setdefault("content", content) != content:
        return False
    if touched:
        row["touched"] = touched
    return True


def require_same_set(run: Path, data: CuratedData) -> tuple[Document | None, Document]:
    """The set that a run began with, None where it begins now, and `data` after its `setup`. UserError: another one."""
    pictures = data.train_pictures + data.held_out_pictures
    now: Document = {"pictures": [described(one) for one in pictures], "prompts": digest(data.prompt_rows)}
    begun = bool(runs.checkpoints(run)) or (run / runs.BEST).exists()
    then = read(run / runs.DATA) if begun else None
    if then and (said := difference(then, now)):
        raise refusal(data.root, said)
    return then, now


def require_same_contents(then: Document, data: CuratedData) -> None:
    """UserError where a picture of a set, the same by name, size and caption, has another content; the first is named.

    A file is read where it does not look untouched since the run summed it up.
    """
    pictures = data.train_pictures + data.held_out_pictures
    for row, picture in zip(then["pictures"], pictures, strict=True):
        if "content" in row and not same_content(row, picture.entry.open):
            raise refusal(data.root, f"{row['name']} is another picture")


def read(path: Path) -> Document | None:
    """None where a run of an earlier emu kept none."""
    if not path.exists():
        return None
    document: Document = read_json(path, Document, remedy="remove it to go on with the set as it is now")
    return document


def described(picture: Picture) -> Row:
    """A picture without its content."""
    captions = digest(list(picture.entry.texts))
    return {"name": picture.entry.name, "captions": captions, "size": [picture.height, picture.width]}


def digest(value: Any) -> str:
    """A short name of what can be written as JSON."""
    return hashlib.sha256(json.dumps(value, default=str).encode()).hexdigest()[:16]


def difference(then: Document, now: Document) -> str | None:
    """What of a set is not what it was, contents apart; None where all is."""
    if then["prompts"] != now["prompts"]:
        return "data.prompts holds other prompts"
    found = list(_differences(then["pictures"], now["pictures"]))
    return _listed(found) if found else None


def refusal(root: str, said: str) -> UserError:
    """The one line."""
    return UserError(f"data.root {root}: not what the run began with: {said}; put it back, or name another run folder")


def _differences(then: list[Row], now: list[Row]) -> Iterator[str]:
    before, after = (Counter(row["name"] for row in rows) for rows in (then, now))
    gone, added = before - after, after - before
    spelled = {normalize("NFC", name) for name in gone} & {normalize("NFC", name) for name in added}
    yield from (f"{name} is spelled in another form of Unicode" for name in gone if normalize("NFC", name) in spelled)
    yield from (f"{name} is gone" for name in gone if normalize("NFC", name) not in spelled)
    yield from (f"{name} is new" for name in added if normalize("NFC", name) not in spelled)
    if before != after:
        return
    if [row["name"] for row in then] != [row["name"] for row in now]:
        yield "its pictures stand in another order"
        return
    for old, new in zip(then, now, strict=True):
        if old["captions"] != new["captions"]:
            yield f"{old['name']} has another caption"
        elif old["size"] != new["size"]:
            yield f"{old['name']} is another picture"


def _listed(found: list[str]) -> str:
    more = f"; and {len(found) - NAMED:,} more" if len(found) > NAMED else ""
    return "; ".join(found[:NAMED]) + more
