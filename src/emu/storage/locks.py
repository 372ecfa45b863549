"""One process at a time in a folder: a lock that ends with the process that holds it, however that ends.

Notable: POSIX record locks. Workers that a process forks do not inherit them, so that a killed run's can be taken at
once, and NFS knows them (version 4, or 3 with lockd). Where a file system knows none, a warning says so.
"""

import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from emu.errors import UserError

NAME = ".lock"
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")  # of torchrun, Lightning and SLURM

log = logging.getLogger(__name__)
_held: set[Path] = set()  # by this process, which its own locks do not stop


def first_process() -> bool:
    """Whether this is the one of a job's processes that locks for all."""
    return all(os.environ.get(name, "0") == "0" for name in RANKS)


@contextmanager
def alone(folder: Path, doing: str, *, name: str = NAME) -> Iterator[None]:
    """Holds `folder`, which is made where there is none. UserError where another process holds it, `doing` the same."""
    made = not folder.exists()
    path = folder.resolve() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = None if path in _held else _taken(path)
    if descriptor is None:
        raise UserError(f"{folder}: another {doing} is at work there; wait for it, or name another folder")
    _held.add(path)
    try:
        yield
    finally:
        _held.discard(path)
        path.unlink(missing_ok=True)  # before it is let go: whoever waits for it sees that it is another file now
        os.close(descriptor)
        if made:
            with suppress(OSError):  # it holds something by now
                folder.rmdir()


@contextmanager
def in_turn(place: Path) -> Iterator[None]:
    """Waits while another process makes what is to lie at `place`; its folder is made where there is none."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_name(f".{place.name}.lock").open("w") as file:
        with suppress(OSError):  # no locks on this file system: both make the same, and the second takes its place
            fcntl.lockf(file, fcntl.LOCK_EX)
        yield


def is_free(path: Path) -> bool:
    """Whether no process holds this lock, as far as one may know of another user's."""
    if path in _held:
        return False
    try:
        descriptor = _taken(path)
    except PermissionError:
        return False
    if descriptor is None:
        return False
    os.close(descriptor)
    return True


def _taken(path: Path) -> int | None:
    """A descriptor of the locked file; None where another process has it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)  # a folder may be a group's
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                os.close(descriptor)
                if error.errno in (errno.EACCES, errno.EAGAIN):
                    return None
                raise
            log.warning("%s: this file system has no locks; see that no other command writes there", path.parent)
            return descriptor
        with suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        os.close(descriptor)  # removed by its holder: that was another file
