"""What Pillow keeps for the whole process, so that threads, and code that is not emu's, find it as they left it.

Its limit of pixels is raised while somebody reads, and never lowered: who reads has a limit of their own. Its warnings
are not made errors for a while: `warnings.catch_warnings` is for one thread alone, and of two that read side by side
the second puts back what the first had set.
"""

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from PIL import Image

# Its remarks on odd EXIF and palettes, which say nothing of what to do; a filter is everyone's, so it stays.
REMARKS = ("ignore", None, UserWarning, re.compile(r"PIL\."), 0)  # as `warnings` keeps a filter

_lock = Lock()
_reading: list[int] = []  # the limit of everyone who reads
_before: int | None = None  # the process's own limit, while somebody reads


class _Most(int):
    """A limit beyond which Pillow refuses: it does so beyond twice its limit, and warns between the two."""

    def __rmul__(self, times: int) -> int:
        return int(self)


@contextmanager
def allowing(max_pixels: int) -> Iterator[None]:
    """Inside, Pillow reads pictures of so many pixels and remarks on none."""
    global _before
    if REMARKS not in warnings.filters:
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    with _lock:
        if not _reading:
            _before = Image.MAX_IMAGE_PIXELS
        _reading.append(max_pixels)
        _set()
    try:
        yield
    finally:
        with _lock:
            _reading.remove(max_pixels)
            _set()


def _set() -> None:
    """Pillow's limit, by who reads."""
    if _before is not None:
        Image.MAX_IMAGE_PIXELS = _Most(max(2 * _before, *_reading)) if _reading else _before


def _in_a_child() -> None:
    """Nobody reads there: threads survive no fork."""
    _reading.clear()
    _set()
    _lock.release()


os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_in_a_child)
