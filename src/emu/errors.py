"""What a user can mend. The command line prints it as one line and leaves with exit code 2."""

import difflib
import errno
import os
import re
from collections.abc import Iterable

FULL = (errno.ENOSPC, errno.EDQUOT)
OF_DISKS = (*FULL, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
SQLITE_FULL = 13
NUMBER = re.compile(r"\[Errno (\d+)\]|\(os error (\d+)\)")  # as Python says it, and as Rust does


class UserError(Exception):
    """Names the flag or the file, and says what to do about it."""


def of_the_system(error: OSError, path: object = None) -> str:
    """What the system says of a file, as one line that says what to do; `path` where the error does not know it."""
    where = error.filename if path is None else path
    named = f"{where}: " if where is not None else ""
    if error.errno in FULL:
        return f"{named}the disk is full; make room and run the same command again"
    return f"{named}cannot be read or written ({error.strerror}); mend that and run the same command again"


def system_error(error: Exception) -> OSError | None:
    """The system's error: this one, or of a disk that does not take what is written the one that a library hid in it.

    `safetensors`, `tokenizers` and SQLite raise errors of their own, and `shutil.copytree` one without a number.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return error
    if getattr(error, "sqlite_errorcode", None) == SQLITE_FULL:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    found = None if isinstance(error, UserError) else NUMBER.search(str(error))
    number = int(found[1] or found[2]) if found else 0
    return OSError(number, os.strerror(number)) if number in OF_DISKS else None


def reason(error: Exception) -> str:
    """Why, in the system's words where they are the system's: without its number, and without the name of the file."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def closest(word: str, words: Iterable[str], *, prefix: str = "", otherwise: str = "") -> str:
    """`; did you mean X?`, or `otherwise` where nothing is near."""
    near = difflib.get_close_matches(word, list(words), n=1)
    return f"; did you mean {prefix}{near[0]}?" if near else otherwise


def is_text(value: str) -> bool:
    """Whether a file can hold it: JSON and YAML may spell halves of characters, which no file takes."""
    return not any("\ud800" <= one <= "\udfff" for one in value)


def printable(text: str) -> str:
    """One line that a terminal shows as it stands: what moves the cursor or turns text around is spelled out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in " ".join(text.split()))


def not_installed(error: ImportError) -> str:
    """`... requires the torchvision library, which is not installed; pip install it`, of what a library says."""
    return f"{first_line(error).partition(' but ')[0]}, which is not installed; pip install it"


def first_line(error: BaseException) -> str:
    """Of what a library says, at most 200 letters and no full stop, or its kind: for the middle of a sentence."""
    return str(error).strip().partition("\n")[0][:200].rstrip(".") or type(error).__name__
