"""WebDataset tars: `KEY.webp|png|jpg|jpeg` beside `KEY.json` with a caption, or `KEY.txt`. Only `.tar`, uncompressed.

A tar is walked once, for the offsets of its members; from then on any picture is one seek and one read.
"""

import io
import json
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from emu.data.sources.entry import Entry, Fault, entry_or_fault
from emu.errors import UserError

LONGEST = 1_000_000  # bytes of a caption's file
PICTURES = ("webp", "png", "jpg", "jpeg")


def read_tar(path: Path, *, text_column: str) -> Iterator[Entry | Fault]:
    """Every picture in the order of the tar. The caption is under `text_column`, `caption` or `text` of the JSON.

    Nothing is unpacked, so a member's name is a name and no path. Links, devices and second members of a name are
    faults where they would be pictures.
    """
    pictures: dict[str, tarfile.TarInfo] = {}
    texts: dict[str, bytes] = {}
    faults: list[str] = []
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                key, extension = _split(member.name)
                if extension in PICTURES and not member.isfile():
                    faults.append(f"{member.name}: a link or a device, not a file")
                elif extension in PICTURES and key in pictures:
                    faults.append(f"{member.name}: {pictures[key].name} has the same key")
                elif extension in PICTURES:
                    pictures[key] = member
                elif extension in ("json", "txt") and member.isfile():
                    content = tar.extractfile(member)
                    assert content is not None  # as it is a regular file
                    texts.setdefault(f"{key}.{extension}", content.read(LONGEST + 1))
    except (tarfile.TarError, OSError) as error:
        raise UserError(f"{path}: cannot be read as a tar ({error})") from None
    yield from (Fault(f"{path.name}:{fault}") for fault in faults)
    for key, member in pictures.items():
        name = f"{path.name}:{member.name}"
        opener = partial(_open_member, path, member.offset_data, member.size)
        try:
            text, columns = _caption(texts, key, text_column)
        except ValueError as error:
            yield Fault(f"{name}: {error}")
        else:
            yield entry_or_fault(name, text, opener, columns)


def _split(name: str) -> tuple[str, str]:
    """`a/b.c.JPG` -> `a/b`, `c.jpg`: by the format, a key ends at the first dot of the file's own name."""
    folder, slash, file = name.rpartition("/")
    stem, _, extension = file.partition(".")
    return folder + slash + stem, extension.lower()


def _caption(texts: dict[str, bytes], key: str, text_column: str) -> tuple[object, dict[str, Any]]:
    if any(len(texts.get(f"{key}.{kind}", b"")) > LONGEST for kind in ("json", "txt")):
        raise ValueError(f"its caption's file is longer than {LONGEST:,} bytes")
    if f"{key}.json" in texts:
        row = json.loads(texts[f"{key}.json"])
        if not isinstance(row, dict):
            raise ValueError("its .json is not an object")
        column = next((name for name in (text_column, "caption", "text") if name in row), text_column)
        return row.pop(column, None), row
    if f"{key}.txt" in texts:
        return texts[f"{key}.txt"].decode().strip(), {}
    raise ValueError("no caption beside it (.json or .txt)")


def _open_member(path: Path, offset: int, size: int) -> io.BytesIO:
    with path.open("rb") as file:
        file.seek(offset)
        return io.BytesIO(file.read(size))
