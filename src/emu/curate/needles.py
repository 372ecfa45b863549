"""The curated folder: the kept pictures and their metadata.jsonl, as every `emu fit` takes them.

Files are copied byte by byte; only where borders were cut off is a picture written anew, as PNG. The metadata is
written last: without it the folder is not complete, and `emu fit` does not take it.
"""

import hashlib
import io
import json
import os
from collections.abc import Iterable
from pathlib import Path

from emu import files
from emu.curate.ledger import kept_file, told_of_the_disk, write_durably
from emu.curate.picture import read
from emu.curate.stage import Row
from emu.curate.stages.readable import Readable
from emu.data.pictures import BadPicture, decode
from emu.data.sources import Entry, Item
from emu.data.sources.kinds import METADATA
from emu.data.sources.openers import Remote
from emu.errors import UserError


def write_pictures(out: Path, kept: list[Row], source: Iterable[Item], readable: Readable) -> None:
    """Copies what is not there yet. UserError: a file is another one than when it was measured."""
    wanted = {row["row"]: row for row in kept if not (out / row["file"]).exists()}
    if not wanted:
        return
    for number, item in enumerate(source):
        row = wanted.pop(number, None)
        if row is not None and isinstance(item, Entry):
            with told_of_the_disk(out / row["file"]):
                files.write(out / row["file"], _content(out, item, row, readable))
        if not wanted:
            return
    raise UserError("SRC: has fewer pictures than when it was measured; name another DST for what it is now")


def _content(out: Path, entry: Entry, row: Row, readable: Readable) -> bytes:
    try:
        if isinstance(entry.open, Remote):
            content = kept_file(out, row["sha256"]).read_bytes()
        else:
            content = read(entry, max_bytes=readable.max_bytes)
    except FileNotFoundError:
        raise UserError(f"{entry.name}: what was fetched is gone; remove {out} and run again") from None
    except BadPicture as reason:
        raise UserError(f"{entry.name}: {reason}, though it could be read before; mend it and run again") from None
    if hashlib.sha256(content).hexdigest() != row["sha256"]:
        raise UserError(f"{entry.name}: another file than when it was measured; name another DST for what it is now")
    if row.get("crop") is None:
        return content
    left, top, right, bottom = map(int, row["crop"].split(","))
    stream = io.BytesIO()
    whole = decode(lambda: io.BytesIO(content), max_pixels=readable.max_pixels)
    whole.crop((left, top, right, bottom)).save(stream, "PNG")
    return stream.getvalue()


def damaged(out: Path, kept: list[Row]) -> list[str]:
    """The files of kept pictures that are not as they were copied; one that borders were cut off only if it is gone."""
    return [row["file"] for row in kept if not _is_whole(out / row["file"], row)]


def _is_whole(path: Path, row: Row) -> bool:
    if not path.is_file() or row.get("crop") is not None:
        return path.is_file()
    return files.sha256(path) == str(row["sha256"])


def write_metadata(out: Path, kept: list[Row]) -> None:
    """A line a picture: its file, its caption, the source's own columns, and where it comes from."""
    os.sync()  # once for all pictures, before the file that says that they are there
    lines = []
    for row in kept:
        own = {"file_name": row["file"], "text": row["text"]}
        where = {"source": row["source"], "sha256": row["sha256"]}
        lines.append(json.dumps({**json.loads(row["source_columns"]), **own, **where}) + "\n")
    write_durably(out / METADATA, "".join(lines))
