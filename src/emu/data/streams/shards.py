"""Where the shards of a stream lie, and one of them as a file on this machine while it is read."""

import atexit
import logging
import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from emu.data.sources.entry import Item, Wanted
from emu.data.sources.folder import notes_downloads
from emu.data.sources.kinds import hidden, suffix
from emu.data.sources.roots import matching, names_of
from emu.data.sources.tars import read_tar
from emu.errors import UserError, first_line

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

log = logging.getLogger(__name__)

NAME = f"emu-stream-{socket.gethostname()}-"  # of a folder of shards, with the process of this machine that it is of
KINDS = ("tar", "parquet")
WAITS = (1, 2, 4, 8, 16, 32, 64)  # seconds between trials to fetch a shard: a server that starts again is back by then
WILD = frozenset("*?[")
ADDRESSED = ("http://", "https://")  # where what follows a ? is a question, and no pattern


def addresses(root: str) -> list[str]:
    """The shards that `root` names, in order: paths or addresses, not looked at.

    It is a folder, or a pattern of files here or in any storage that fsspec knows: `{000..999}.tar`, `s3://b/*.parquet`.
    UserError: there are none, one is of another kind, or the storage needs a package that is not installed.
    """
    found = list(dict.fromkeys(address for name in names_of(root, root) for address in _matching(name, root)))
    if not found:
        raise UserError(f"data.root {root}: no shard there (.tar or .parquet)")
    for address in found:
        if suffix(file_name(address)) not in KINDS:
            raise UserError(f"data.root {root}: {address} is no shard of a stream; give .tar or .parquet files")
    return found


def file_name(address: str) -> str:
    """`https://host/b/0.tar?download=true` -> `0.tar`."""
    name = address.partition("?")[0] if address.startswith(ADDRESSED) else address
    return name.rpartition("/")[2]


def is_remote(address: str) -> bool:
    """Whether it has to be fetched before it is read."""
    return "://" in address


def _matching(name: str, root: str) -> list[str]:
    if is_remote(name):
        return _matching_there(name, root)
    name = os.path.expanduser(name)
    if os.path.isdir(name):
        files = sorted(path for path in Path(name).iterdir() if suffix(path.name) in KINDS and not hidden(path.name))
        return [str(path) for path in files if path.suffix != ".parquet" or not notes_downloads(path)]
    return matching(name) if WILD.intersection(name) else [name]


def _matching_there(name: str, root: str) -> list[str]:
    """As `_matching`, of an address: a file, a pattern, or a folder, whose shards are looked up."""
    storage, path = _storage(name, root)
    asked = path.partition("?")[0] if name.startswith(ADDRESSED) else path
    if not WILD.intersection(asked) and suffix(file_name(name)) in KINDS:
        return [name]
    own = path.rstrip("/").replace("[", "[[]")  # brackets of the name, where nothing matches them as a pattern
    inside = f"{own}/*"
    try:
        for pattern in (path, inside, own) if WILD.intersection(asked) else (inside,):
            found = sorted(str(storage.unstrip_protocol(each)) for each in storage.glob(pattern))
            found = [each for each in found if not hidden(file_name(each))]
            if found := _shards(found) if pattern == inside else found:
                return found
    except Exception as error:  # of each storage another kind
        raise UserError(f"data.root {root}: its shards cannot be listed ({first_line(error)})") from None
    return []


def _shards(addresses: list[str]) -> list[str]:
    """Of all that a folder elsewhere holds; a parquet file beside a tar of its name notes what was downloaded."""
    tars = {each for each in addresses if suffix(file_name(each)) == "tar"}
    tables = [each for each in addresses if suffix(file_name(each)) == "parquet"]
    return sorted(tars.union(each for each in tables if f"{each.removesuffix('.parquet')}.tar" not in tars))


def _storage(address: str, root: str) -> tuple["AbstractFileSystem", str]:
    import fsspec

    try:
        storage, path = fsspec.core.url_to_fs(address)
    except (ImportError, ValueError) as error:  # s3 needs s3fs, gs gcsfs; or no storage of that name
        raise UserError(f"data.root {root}: {first_line(error)}") from None
    return storage, path


def read_shard(path: Path, wanted: Wanted) -> Iterator[Item]:
    """Every record of a shard in its order. UserError: it cannot be read, or not to its end."""
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if suffix(path.name) == "tar":
        yield from read_tar(path, wanted)
        return
    from emu.data.sources.tables import read_tables  # pyarrow takes a while to import

    yield from read_tables([path], wanted)


@dataclass(frozen=True)
class Spool:
    """Fetches shards into `folder`; what lies on this machine stays where it is."""

    folder: Path

    @classmethod
    def of_this_process(cls) -> "Spool":
        """In the system's temporary folder, which machines may share; what killed processes of this one left goes."""
        for left in Path(tempfile.gettempdir()).glob("emu-stream-*"):
            process = re.fullmatch(rf"{re.escape(NAME)}(\d+)-[^-]+", left.name)  # `gpu-2` is another machine than `gpu`
            if process and not _runs(process[1]):
                shutil.rmtree(left, ignore_errors=True)
        spool = cls(Path(tempfile.mkdtemp(prefix=f"{NAME}{os.getpid()}-")))
        atexit.register(spool.remove)
        return spool

    def fetch(self, address: str) -> Path:
        """The shard as a file. UserError: it could not be fetched."""
        if not is_remote(address):
            return Path(address)
        storage, path = _storage(address, address)
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        target = folder / file_name(address)
        for wait in (*WAITS, None):
            try:
                storage.get_file(path, str(target))
                break
            except Exception as error:  # of each storage another kind
                why = "no such file" if isinstance(error, FileNotFoundError) else first_line(error)
                if wait is None or isinstance(error, FileNotFoundError | PermissionError):
                    shutil.rmtree(folder)
                    raise UserError(f"{address}: cannot be fetched ({why})") from None
                if wait == WAITS[0]:
                    log.warning(f"{address}: cannot be fetched ({why}); trying again for {sum(WAITS)} seconds")
                time.sleep(wait)
        return target

    def begin(self, address: str) -> Future[Path]:
        """As `fetch`, in a thread that no process waits for at its end."""
        fetched: Future[Path] = Future()

        def work() -> None:
            try:
                fetched.set_result(self.fetch(address))
            except Exception as error:
                fetched.set_exception(error)

        Thread(target=work, daemon=True).start()
        return fetched

    def remove(self) -> None:
        """All of it, also what a thread still writes there."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def drop(self, path: Path) -> None:
        """No longer needed."""
        if path.is_relative_to(self.folder):
            shutil.rmtree(path.parent)


def _runs(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        pass
    return True
