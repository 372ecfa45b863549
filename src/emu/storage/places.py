"""Where things lie on somebody's machine, left out of what is handed on: a path tells their name and their projects.

Of an absolute path its last part stays, which is what a reader wants to know: `/home/ada/sets/needles` -> `needles`.
"""

import re
from dataclasses import fields, is_dataclass, replace
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

START = r"(?:file://)?(?:~[\w.-]*/|/|[A-Za-z]:[\\/]|\\\\)"
WHOLE = re.compile(rf"{START}[^\n]*")
WITHIN = re.compile(rf"(?<![^\s='\",(\[]){START}[^\s'\",)\]]+")


def without_places(value: Any) -> Any:
    """The same, with the last part of every absolute path in it; mappings, lists and dataclasses to any depth.

    For settings and what a program says of itself. Captions and prompts are not to go through here: they are as they
    were written, and one may begin with a slash.
    """
    found = value
    if isinstance(value, str):
        found = last_part(value) if WHOLE.fullmatch(value) else WITHIN.sub(lambda path: last_part(path[0]), value)
    elif isinstance(value, dict):
        found = {without_places(key): without_places(inner) for key, inner in value.items()}
    elif isinstance(value, list | tuple):
        found = type(value)(map(without_places, value))
    elif is_dataclass(value) and not isinstance(value, type):
        found = replace(value, **{one.name: without_places(getattr(value, one.name)) for one in fields(value)})
    return found


def last_part(path: str) -> str:
    """`/home/ada/needles/` -> `needles`, `C:\\Users\\Ada\\needles` -> `needles`; a root has none and is `/`."""
    kind = PureWindowsPath if re.match(r"[A-Za-z]:[\\/]|\\\\", path) else PurePosixPath
    return kind(path.removeprefix("file://")).name or "/"
