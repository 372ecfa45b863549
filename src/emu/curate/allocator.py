"""How a process of the pool is given memory by the C library, set once; other libraries than glibc are left alone."""

import ctypes
import sys

TRIM, MMAP, ARENAS = -1, -3, -8  # glibc's M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX
FREE = 64 << 20  # bytes of free memory at the end of the heap that are kept
LARGEST = 32 << 20  # bytes: larger buffers are the system's as before, and glibc's own limit


def keep_memory() -> bool:
    """For a process that measures pictures: what one needed is kept for the next one.

    By default glibc gives buffers of pictures back each time, and the system has to clear every page of the next one: a
    fifth of a worker's time went there. Returns whether the C library knows of such settings.
    """
    return _set((TRIM, FREE), (MMAP, LARGEST))


def one_heap() -> bool:
    """For a process whose threads take turns: they share what memory they have, where each would keep its own."""
    return _set((ARENAS, 1))


def _set(*settings: tuple[int, int]) -> bool:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    return mallopt is not None and all(mallopt(*one) for one in settings)
