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

from emu.curate.ledger import kept_file, user_error, write_durably
from emu.curate.manifest import Kept
from emu.curate.picture import read
from emu.curate.stages.readable import Readable
from emu.data.pictures import BadPicture, decode
from emu.data.sources import Entry, Item
from emu.data.sources.openers import Remote
from emu.errors import UserError
from emu.layouts.curated_folder import METADATA
from emu.storage import files


def write_pictures(out: Path, kept: list[Kept], source: Iterable[Item], readable: Readable) -> None:
    """Copies what is not there yet. UserError: a file is another one than when it was measured."""
    wanted = {one.row: one for one in kept if not (out / one.file).exists()}
    if not wanted:
        return
    for number, item in enumerate(source):
        one = wanted.pop(number, None)
        if one is not None and isinstance(item, Entry):
            with user_error(out / one.file):
                files.write(out / one.file, _content(out, item, one, readable))
        if not wanted:
            return
    raise UserError("SRC: has fewer pictures than when it was measured; name another DST for what it is now")


def _content(out: Path, entry: Entry, one: Kept, readable: Readable) -> bytes:
    try:
        if isinstance(entry.open, Remote):
            content = kept_file(out, one.sha256).read_bytes()
        else:
            content = read(entry, max_bytes=readable.max_bytes)
    except FileNotFoundError:
        raise UserError(f"{entry.name}: what was fetched is gone; remove {out} and run again") from None
    except BadPicture as reason:
        raise UserError(f"{entry.name}: {reason}, though it could be read before; mend it and run again") from None
    if hashlib.sha256(content).hexdigest() != one.sha256:
        raise UserError(f"{entry.name}: another file than when it was measured; name another DST for what it is now")
    if one.crop is None:
        return content
    left, top, right, bottom = map(int, one.crop.split(","))
    stream = io.BytesIO()
    whole = decode(lambda: io.BytesIO(content), max_pixels=readable.max_pixels)
    whole.crop((left, top, right, bottom)).save(stream, "PNG")
    return stream.getvalue()


def damaged(out: Path, kept: list[Kept]) -> list[str]:
    """The files of kept pictures that are not as they were copied; one that borders were cut off only if it is gone."""
    return [one.file for one in kept if not _is_whole(out / one.file, one)]


def _is_whole(path: Path, one: Kept) -> bool:
    return path.is_file() and (one.crop is not None or files.sha256(path) == one.sha256)


def write_metadata(out: Path, kept: list[Kept]) -> None:
    """A line a picture: its file, its caption, the source's own columns, and where it comes from.

    A column of the source that is called as one of these and says something else is `source_NAME`.
    """
    os.sync()  # once for all pictures, before the file that says that they are there
    lines = []
    for one in kept:
        own = {"file_name": one.file, "text": one.text, "source": one.source, "sha256": one.sha256}
        theirs = json.loads(one.source_columns)
        hidden = {f"source_{name}": theirs[name] for name in own if theirs.get(name) not in (None, own[name])}
        lines.append(json.dumps({**hidden, **theirs, **own}) + "\n")
    write_durably(out / METADATA, "".join(lines))
