"""`emu://NAME` names what ships in the package, so that a config needs no path of one machine."""

import os
from pathlib import Path

from emu.errors import UserError

SCHEME = "emu://"


def resolve(path: str) -> str:
    """`emu://bases/latent` -> its folder in the package; any other path or hub name comes back as it is."""
    if not path.startswith(SCHEME):
        return path
    found = Path(__file__).parent / "demo" / path.removeprefix(SCHEME)
    if not found.exists():
        raise UserError(f"{path}: nothing of this name ships with emu; see {found.parent}")
    return str(found)


def is_same(path: str, other: str) -> bool:
    """Whether two paths or names lead to one place, which has many spellings."""
    try:
        return path == other or len({os.path.realpath(Path(resolve(one)).expanduser()) for one in (path, other)}) == 1
    except ValueError:  # of a name that no file can have
        return False
