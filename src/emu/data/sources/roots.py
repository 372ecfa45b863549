"""What `data.root` names: folders and files, spelled out where it is a pattern."""

import glob
import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from emu.bundled import how_to_have, resolve
from emu.errors import UserError

MOST = 1_000_000  # names that a pattern may spell out
BRACES = re.compile(r"\{([^{}]*)\}")
RANGE = re.compile(r"(\d+)\.\.(\d+)")


def find(root: str) -> list[Path]:
    """Folders and files, in order. UserError: there are none, or one that is named is not there."""
    names = names_of(str(Path(resolve(root))), root)
    found: list[Path] = []
    for name in names or [root]:
        there = list(map(Path, matching(name)))
        if not there:
            where = "" if name == root else f" ({name})"
            if "://" in root:
                raise UserError(f"data.root {root}: an address; download it, or read its shards by --data.stream true")
            remedy = how_to_have(name) or "a dataset of the hub is hf://datasets/OWNER/NAME"
            raise UserError(f"data.root {root}: no such folder or file{where}; {remedy}")
        found += there
    return list(dict.fromkeys(found))


def matching(name: str) -> list[str]:
    """The files and folders here that a name or pattern stands for, in order.

    Brackets are taken for the folder's own where nothing matches them as a pattern: `photos [2023]/*.tar`.
    """
    if os.path.exists(name):
        return [name]
    found = glob.glob(name, recursive=True) or glob.glob(name.replace("[", "[[]"), recursive=True)
    return sorted(found)


def names_of(pattern: str, root: str) -> list[str]:
    """All that a root spells out, or itself where it lies there, braces and all. UserError: too many."""
    names = [pattern] if os.path.exists(pattern) else list(islice(spelled_out(pattern), MOST + 1))
    if len(names) > MOST:
        raise UserError(f"data.root {root}: stands for more than {MOST:,} names")
    return names


def spelled_out(pattern: str) -> Iterator[str]:
    """`{000..002}.tar` -> `000.tar`, `001.tar`, `002.tar`; `{a,b}` -> `a`, `b`. Other braces stay as they are."""
    for match in BRACES.finditer(pattern):
        choices = _choices(match[1])
        if choices is not None:
            before, after = pattern[: match.start()], pattern[match.end() :]
            for choice in choices:
                yield from spelled_out(f"{before}{choice}{after}")
            return
    yield pattern


def _choices(inside: str) -> Iterator[str] | None:
    if bounds := RANGE.fullmatch(inside):
        first, last = int(bounds[1]), int(bounds[2])
        width = len(bounds[1]) if bounds[1].startswith("0") or len(bounds[1]) == len(bounds[2]) else 0
        return (f"{number:0{width}}" for number in range(first, last + 1))
    return iter(inside.split(",")) if "," in inside else None
