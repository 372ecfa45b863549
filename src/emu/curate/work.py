"""What a worker does: a shard of pictures -> a table with a row each, written to the ledger.

A picture goes through the stages as far as it comes, and is let go before the next one is read, but for those that
wait for a batch (`flow`): memory does not grow with the shard. What is wrong with a picture costs its row alone.
"""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pyarrow as pa

from emu import answers
from emu.curate.config import Funnel, cause
from emu.curate.contents import Contents
from emu.curate.decide import STAYED
from emu.curate.document import schema
from emu.curate.flow import Flow, Left, Passenger, Tell
from emu.curate.ledger import Ledger, write_kept
from emu.curate.picture import Picture, Thumbnails
from emu.curate.shards import Shard
from emu.curate.stage import Row, Value
from emu.data.pictures import BadPicture
from emu.data.sources import Entry, Fault
from emu.data.sources.openers import Remote
from emu.errors import UserError, first_line
from emu.layouts.curated_folder import WORK

CAPTIONS = "captions"  # among a source's columns: all of a picture's captions, where it has several

OWN = {
    "row": "int64",  # the picture's place in the source, from 0
    "source": "string",
    "text": "string",
    "source_columns": "string",  # JSON: what else the source says of it
}
FATE = {"left": "int16", "failed": "bool", "reason": "string", "thumbnail": "binary"}


class Work:
    """Called with a shard, in a process of its own, where the stages of the funnel are made again.

    Args:
        out: the curated folder.
    """

    def __init__(self, funnel: Funnel, out: Path) -> None:
        self.funnel, self.out = funnel, out

    def __call__(self, shard: Shard, tell: Tell, quarantined: Collection[int] = (), *, alone: bool = False) -> None:
        """Measures and writes a shard. `tell` hears the places in it of the pictures that are looked at next.

        Those `quarantined` are not opened: a worker died of them. With `alone`, nothing is measured in batches.
        """
        rows: list[Row] = []
        thumbnails = Thumbnails(shard.number)
        flow = Flow(self.funnel, tell, lambda one: self._leave(one, shard, thumbnails), alone=alone)
        with self._contents(shard) as contents:
            for index, item in enumerate(shard.items):
                tell([index])
                row: Row = {"row": shard.first + index, "left": STAYED, "failed": False, "reason": None}
                rows.append(row)
                if not isinstance(item, Entry):
                    name, _, reason = item.message.partition(": ")
                    row |= {"source": name, **Left(0, reason, failed=isinstance(item, Fault)).columns}
                    continue
                row |= self._source(item)
                if index in quarantined:
                    row |= Left(0, "its worker died of it, again and again", failed=True).columns
                elif (picture := self._read(item, contents, index, row)) is not None:
                    flow.enter(Passenger(index, picture, row))
            flow.finish()
        Ledger(self.out, self.funnel.sha256).write(shard.number, self.table(rows), input_sha256=shard.sha256)

    def table(self, rows: list[Row]) -> pa.Table:
        """Rows with every column that the funnel has, null where it was not measured."""
        kinds = {**OWN, **self.funnel.data.columns, **self.funnel.columns, **FATE}
        arrays = [self._array(name, kind, [row.get(name) for row in rows]) for name, kind in schema(kinds)]
        return pa.table(arrays, names=list(kinds))

    def _array(self, name: str, kind: pa.DataType, values: list[Value]) -> pa.Array:
        try:
            return pa.array(values, type=kind)
        except (pa.ArrowException, TypeError, OverflowError) as error:
            stage = next((step.stage for step in self.funnel.steps if name in step.stage.columns), None)
            if stage is None:
                raise
            raise UserError(f"{answers.name_of(stage)}.measure: {name} is no {kind} ({first_line(error)})") from error

    def _source(self, entry: Entry) -> Row:
        typed = {name: _cast(entry.columns.get(name), kind) for name, kind in schema(self.funnel.data.columns)}
        several = {CAPTIONS: entry.texts} if entry.others else {}
        columns = json.dumps(entry.columns | several, default=str, sort_keys=True)
        return {"source": entry.name, "text": entry.text, "source_columns": columns, **typed}

    def _contents(self, shard: Shard) -> Contents:
        slots = self.out / WORK / "hosts"
        return Contents(shard.items, self.funnel.fetch, max_bytes=self.funnel.readable.max_bytes, slots=slots)

    def _read(self, entry: Entry, contents: Contents, index: int, row: Row) -> Picture | None:
        try:
            content = contents(index)
        except BadPicture as reason:
            row |= Left(0, str(reason), failed=True).columns
            return None
        return Picture(entry, content, side=self.funnel.side, max_pixels=self.funnel.readable.max_pixels)

    def _leave(self, one: Passenger, shard: Shard, thumbnails: Thumbnails) -> None:
        why = f"{one.left.step} {cause(one.left.reason)}" if one.left else None
        one.row["thumbnail"] = thumbnails.of(one.picture, why)
        item = shard.items[one.index]
        if one.left is None and isinstance(item, Entry) and isinstance(item.open, Remote):
            write_kept(self.out, str(one.row["sha256"]), one.picture.content)  # a server may not give it again


def _cast(value: Any, kind: pa.DataType) -> Value:
    """A source's value as its column's type, None where it is not of it."""
    if value is None:
        return None
    if pa.types.is_string(kind):
        return value if isinstance(value, str) else json.dumps(value, default=str)
    try:
        if isinstance(value, str):  # tables of text have nothing else
            found: Value = pa.scalar(value.strip()).cast(kind).as_py()
        else:
            found = pa.scalar(value, type=kind).as_py()
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return None
    return found
