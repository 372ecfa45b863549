"""What a worker does: a shard of pictures -> a table with a row each, written to the ledger.

A picture goes through the stages alone, as far as it comes, and is let go before the next one is read: memory does not
grow with the shard. What is wrong with a picture costs its row and nothing else.
"""

import json
from collections.abc import Callable, Collection
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from emu.curate.config import Funnel, schema
from emu.curate.contents import Contents, Remote
from emu.curate.ledger import FOLDER, Ledger, write_kept
from emu.curate.picture import Picture
from emu.curate.shards import Shard
from emu.curate.stage import Row
from emu.curate.thumbnails import Thumbnails
from emu.data.pictures import BadPicture
from emu.data.sources import Entry, Fault
from emu.errors import UserError

STAYED = -1

OWN = {
    "row": "int64",  # the picture's place in the source, from 0
    "source": "string",
    "text": "string",
    "source_columns": "string",  # JSON: what else the source says of it
}
FATE = {"left": "int16", "failed": "bool", "reason": "string", "thumbnail": "binary"}

Tell = Callable[[int], None]


class Work:
    """Called with a shard, in a process of its own; what it holds travels there, and the stages are made there.

    Args:
        document: the config.
        out: the curated folder.
    """

    def __init__(self, document: dict[str, Any], out: Path) -> None:
        self.document, self.out = document, out

    @cached_property
    def funnel(self) -> Funnel:
        return Funnel(self.document)

    def __call__(self, shard: Shard, tell: Tell, quarantined: Collection[int] = ()) -> None:
        """Measures and writes a shard. `tell` hears each picture's place in it before that is opened.

        Those `quarantined` are not opened: a worker died of them.
        """
        rows, thumbnails = [], Thumbnails(shard.number, steps=len(self.funnel.steps))
        with self._contents(shard) as contents:
            for index, item in enumerate(shard.items):
                tell(index)
                row: Row = {"row": shard.first + index, "left": STAYED, "failed": False, "reason": None}
                if isinstance(item, Fault):
                    name, _, reason = item.message.partition(": ")
                    row |= {"source": name, **self._failed(0, reason)}
                elif index in quarantined:
                    row |= {**self._source(item), **self._failed(0, "its worker died of it, again and again")}
                else:
                    row |= self._source(item)
                    picture = self._look(item, partial(contents, index), row)
                    if picture is not None:
                        row["thumbnail"] = thumbnails.of(picture, row["left"])
                rows.append(row)
        told = {"input": shard.sha256, "pictures": len(rows), "failed": sum(row["failed"] for row in rows)}
        Ledger(self.out, self.funnel.sha256).write(shard.number, self.table(rows), told)

    def table(self, rows: list[Row]) -> pa.Table:
        """Rows with every column that the funnel has, null where it was not measured."""
        kinds = {**OWN, **self.funnel.data.columns, **self.funnel.columns, **FATE}
        arrays = [pa.array([row.get(name) for row in rows], type=kind) for name, kind in schema(kinds)]
        return pa.table(arrays, names=list(kinds))

    def _source(self, entry: Entry) -> Row:
        typed = {name: _cast(entry.columns.get(name), kind) for name, kind in schema(self.funnel.data.columns)}
        told = json.dumps(entry.columns, default=str, sort_keys=True)
        return {"source": entry.name, "text": entry.text, "source_columns": told, **typed}

    def _contents(self, shard: Shard) -> Contents:
        slots = self.out / FOLDER / "hosts"
        return Contents(shard.items, self.funnel.fetch, max_bytes=self.funnel.readable.max_bytes, slots=slots)

    def _look(self, entry: Entry, read: Callable[[], bytes], row: Row) -> Picture | None:
        """Through the stages, until it leaves; the row is filled in on the way. None where it could not be read."""
        try:
            picture = Picture(entry, read(), side=self.funnel.side, max_pixels=self.funnel.readable.max_pixels)
        except BadPicture as reason:
            row |= self._failed(0, str(reason))
            return None
        for number, step in enumerate(self.funnel.steps):
            try:
                row |= step.stage.measure(picture)
            except BadPicture as reason:  # met by the first stage that looks at pixels, and a matter of the file
                row |= self._failed(0, str(reason))
                return None
            except UserError:  # of the config, such as a model that is not there: no picture is to blame
                raise
            except Exception as error:  # of this picture, whatever it is: it costs one row
                row |= self._failed(number, f"{type(error).__name__}: {error}")
                return picture
            verdict = step.verdict(row)
            if verdict is not None:
                row |= {"left": number, "reason": verdict}
                return picture
        if isinstance(entry.open, Remote):  # a server may not give it again
            write_kept(self.out, row["sha256"], picture.content)
        return picture

    @staticmethod
    def _failed(number: int, reason: str) -> Row:
        return {"left": number, "failed": True, "reason": reason}


def _cast(value: Any, kind: pa.DataType) -> Any:
    """A source's value as its column's type, None where it is not of it."""
    if value is None:
        return None
    if pa.types.is_string(kind):
        return value if isinstance(value, str) else json.dumps(value, default=str)
    try:
        return pa.scalar(value, type=kind).as_py()
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return None
