"""The one rule for names that a set gives to its files: they lie below the set's folder, links and all."""

import os
import re
from pathlib import Path
from unicodedata import normalize

CLIMBS = re.compile(r"(^|[/\\])\.\.([/\\]|$)|^[A-Za-z]:|^[/\\]{2}")  # up, or to a drive, here or where it was written
ALIKE = ", but one whose name looks the same and is spelled in another form of Unicode; rename it"


def below(folder: Path, name: str) -> Path:
    """The file that a set in `folder` calls `name`. ValueError: why it may not be opened, or is none."""
    path = os.path.join(folder, name)
    try:
        within = os.path.realpath(path).startswith(_roots(os.path.realpath(folder)))
    except (OSError, ValueError) as error:  # links in a circle, or a name that no file can have
        raise ValueError(f"no such file ({error})") from None
    if CLIMBS.search(name) or (os.path.isabs(name) and not within):
        raise ValueError(f"{name!r} leads out of the folder; name files below it")
    if not os.path.isfile(path):
        spelled = any(
            other != path and os.path.isfile(other) for other in (normalize("NFC", path), normalize("NFD", path))
        )
        raise ValueError(f"no such file {path}" + ALIKE * spelled)
    if not within:
        raise ValueError(f"{name} is a link out of the folder; copy the file, or name its folder as data.root")
    return Path(path)


def _roots(folder: str) -> tuple[str, ...]:
    """Where a set's files may lie: below its folder, and of a snapshot in the hub's cache among the blobs beside it."""
    cache, snapshots, _ = folder.partition(f"{os.sep}snapshots{os.sep}")
    return (os.path.join(folder, ""), *([os.path.join(cache, "blobs", "")] if snapshots else []))


def as_it_lies(folder: Path, name: str) -> str:
    """A name with the folders of Windows parted as here, where that is a file of `folder` and the name is none."""
    plain = name.replace("\\", "/")
    try:
        return plain if plain != name and not (folder / name).exists() and (folder / plain).is_file() else name
    except ValueError:  # no file can have the name
        return name
