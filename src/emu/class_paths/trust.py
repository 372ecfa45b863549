"""Whose code is run: emu's own, and of a class that a file names only what the user has trusted by name.

A config, a run folder or a curated folder may come from anybody, and to import a module is to run it. So a class path
in a file leads to emu, Lightning and torch's optimizers; any other module asks for `--trust MODULE` once, which is kept
with the sum of its source: it asks again when that has changed, though not when what it imports has.
"""

import errno
import hashlib
import logging
import os
import sys
from collections.abc import Iterable, Iterator
from importlib.machinery import PathFinder
from pathlib import Path

from emu.errors import UserError, reason
from emu.storage import files, own
from emu.storage.records import read_json

KNOWN = ("emu", "lightning", "torch.nn", "torch.optim")
VARIABLE = "EMU_TRUST"  # modules, by commas: what `--trust` says to the processes that a command starts
FLAG = "--trust"

log = logging.getLogger(__name__)


def take(argv: list[str]) -> list[str]:
    """The arguments of a command without `--trust MODULE`, whose modules are trusted from now on."""
    left, words = [], iter(argv)
    for word in words:
        flag, equals, value = word.partition("=")
        if flag != FLAG:
            left.append(word)
            continue
        name = value if equals else next(words, "")
        if not name.isidentifier():
            root = name.partition(".")[0]
            such = f"all of it: {FLAG} {root}" if root.isidentifier() else "the name of a module, such as my_models"
            raise UserError(f"{FLAG} {name}: give {such}")
        _remember(name)
    return left


def require(class_path: str, *, where: str) -> None:
    """UserError where a class path leads to code that the user has not trusted."""
    if not _is_known(class_path) and class_path.partition(".")[0] not in set(trusted()):
        raise UserError(f"{where} {refusal(class_path)}")


def refusal(class_path: str) -> str:
    """Why a class path is not followed, and what to do."""
    root = class_path.partition(".")[0]
    place = _place(root)
    if place is None:
        return f"{class_path}: no module {root} here or among the installed packages"
    changed = " has changed since you trusted it, and" if str(place) in _kept() else ""
    return f"{class_path} would run {place}, which{changed} is not emu's code; if you trust it, add {FLAG} {root}"


def restrict() -> None:
    """Let the parser of configs import what is known and trusted, and nothing else."""
    from jsonargparse import set_parsing_settings

    set_parsing_settings(import_path_denylist=["*"], import_path_allowlist=[*KNOWN, *trusted()])


def trusted() -> Iterator[str]:
    """The modules that `--trust` named, now or before and unchanged; they are then found where one works, too."""
    named = [name for name in os.environ.get(VARIABLE, "").split(",") if name.isidentifier()]
    kept = [Path(place) for place, sum_ in _kept().items() if _sum(Path(place)) == sum_]
    named += [place.stem for place in kept if _place(place.stem) == place]
    if named:
        look_here()
    yield from named


def take_over(modules: Iterable[str]) -> None:
    """Trust what the process that gives this one its work trusts: it may be on another machine, or begun before."""
    os.environ[VARIABLE] = ",".join(modules)


def look_here() -> None:
    """Find modules where one works as well: of what is asked for by name alone, since libraries look for others."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())


def _is_known(class_path: str) -> bool:
    return any(class_path.startswith(f"{known}.") for known in KNOWN) or "." not in class_path


def _place(root: str) -> Path | None:
    """The file of a module, or the folder of a package, found without running it."""
    spec = PathFinder.find_spec(root, [*sys.path, os.getcwd()])
    if spec is None:
        return None
    folders = list(spec.submodule_search_locations or [])
    return Path(folders[0]).resolve() if folders else Path(str(spec.origin)).resolve()


def _sum(place: Path) -> str:
    """sha256 of a module's source, of a package that of all its files."""
    digest = hashlib.sha256()
    for path in sorted(place.rglob("*.py")) if place.is_dir() else [place] if place.is_file() else []:
        digest.update(f"{path.relative_to(place.parent)}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _store() -> Path | None:
    folder = own.settings()
    return None if folder is None else folder / "trusted.json"


def _kept() -> dict[str, str]:
    store = _store()
    try:
        if store is None or not store.exists():
            return {}
    except PermissionError:  # another's home: who runs this has trusted nothing there
        return {}
    kept: dict[str, str] = read_json(store, dict[str, str], remedy="remove it, and say --trust again")
    return kept


def _remember(root: str) -> None:
    place = _place(root)
    if place is None:
        raise UserError(f"{FLAG} {root}: no such module here or among the installed packages")
    os.environ[VARIABLE] = ",".join(filter(None, [os.environ.get(VARIABLE), root]))
    kept = _kept() | {str(place): _sum(place)}
    store = _store()
    if kept == _kept():
        return
    try:
        if store is None:
            raise OSError(errno.ENOENT, "there is no home folder")
        files.write_json(store, kept, indent=1)
    except OSError as error:
        log.warning("%s %s: for this command alone, it cannot be kept (%s)", FLAG, root, reason(error))
