"""Where a picture's bytes lie: small values that travel to worker processes, and are equal where the bytes are."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from emu.data.pictures import BadPicture, Opener

END = 1024  # bytes


@dataclass(frozen=True, slots=True)
class File:
    """A file of its own."""

    path: Path

    def __call__(self) -> io.BufferedReader:
        return self.path.open("rb")


@dataclass(frozen=True, slots=True)
class Member:
    """A stretch of an uncompressed tar: one seek and one read."""

    path: Path
    offset: int
    size: int

    def __call__(self) -> io.BytesIO:
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return io.BytesIO(file.read(self.size))


@dataclass(frozen=True, slots=True)
class Remote:
    """An address, from which only the funnel fetches."""

    url: str

    def __call__(self) -> NoReturn:
        raise BadPicture("at an address; only emu curate fetches it")


def stamp(file: Opener) -> list[int] | None:
    """Bytes of the file that it lies in, and when that changed last: its content, anything of it (nanoseconds).

    None where it lies in no file.
    """
    path = getattr(file, "path", None)
    try:
        stat = Path(path).stat() if path is not None else None
    except OSError:
        return None
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns] if stat else None


def length(file: Opener) -> int:
    """How many bytes there are; of files and members of tars without opening them."""
    match file:
        case File(path):
            return path.stat().st_size
        case Member(size=size):
            return size
    with file() as stream:
        return stream.seek(0, 2)


def end(file: Opener) -> bytes:
    """The last bytes, which in most formats tell one picture from another of the same length."""
    with file() as stream:
        stream.seek(max(0, stream.seek(0, 2) - END))
        return stream.read()
