"""`emu://NAME` names what ships in the package, so that a config needs no path of one machine."""

import os
from pathlib import Path

from emu.errors import UserError

SCHEME = "emu://"
DEMO = "runs/demo"  # what `emu demo` writes, and the configs of its models read


def resolve(path: str) -> str:
    """`emu://bases/latent` -> its folder in the package; any other path or hub name comes back as it is.

    But for `~`, the home: no shell has made it one where a config says it, or a flag behind its `=`.
    """
    if not path.startswith(SCHEME):
        return os.path.expanduser(path)
    found = Path(__file__).parent / "demo" / path.removeprefix(SCHEME)
    if not found.exists():
        raise UserError(f"{path}: nothing of this name ships with emu; see {found.parent}")
    return str(found)


def how_to_have(path: str | Path) -> str | None:
    """What to do where a path of the demo is not there; None of any other path."""
    if not Path(path).is_relative_to(DEMO):
        return None
    return "emu demo makes it; or name your own by --data.root and --data.prompts"


def is_same(path: str, other: str) -> bool:
    """Whether two paths or names lead to one place, which has many spellings."""
    try:
        return path == other or len({os.path.realpath(resolve(one)) for one in (path, other)}) == 1
    except ValueError:  # of a name that no file can have
        return False
