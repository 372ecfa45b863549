"""A column of bytes, such as embeddings, as an array of numpy's would have it, but in a file instead of in memory."""

import mmap
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from emu.curate.ledger import user_error


class Mapped:
    """What was given, in its order; None stays None.

    The file has no name where the system allows that, and is gone with the process. UserError where the disk is full.

    Args:
        parts: all values, a part after the other.
        folder: where the file lies.
    """

    def __init__(self, parts: Iterable[list[bytes | None]], folder: Path) -> None:
        ends, there = [np.zeros(1, dtype=np.int64)], [np.empty(0, dtype=bool)]
        with user_error(folder), tempfile.TemporaryFile(dir=folder) as file:
            for part in parts:
                ends.append(file.tell() + np.cumsum([len(value or b"") for value in part], dtype=np.int64))
                file.write(b"".join(value or b"" for value in part))
                there.append(np.array([value is not None for value in part], dtype=bool))
            file.flush()
            self.ends, self.there = np.concatenate(ends), np.concatenate(there)
            self.content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if self.ends[-1] else b""

    def __len__(self) -> int:
        return len(self.there)

    @overload
    def __getitem__(self, at: int | np.integer[Any]) -> bytes | None: ...
    @overload
    def __getitem__(self, at: NDArray[Any]) -> NDArray[Any]: ...
    def __getitem__(self, at: int | np.integer[Any] | NDArray[Any]) -> bytes | None | NDArray[Any]:
        """The value of a row; of several rows, or of a mask of all, an array of objects, in memory."""
        if isinstance(at, np.ndarray):
            rows = np.flatnonzero(at) if at.dtype == bool else at
            found = np.empty(len(rows), dtype=object)
            found[:] = [self[row] for row in rows]
            return found
        return self.content[self.ends[at] : self.ends[at + 1]] if self.there[at] else None
