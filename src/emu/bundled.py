"""`emu://NAME` names what ships in the package, so that a config needs no path of one machine."""

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
