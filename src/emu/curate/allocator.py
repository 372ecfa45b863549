"""How a process of the pool is given memory by the C library, set once; other libraries than glibc are left alone."""

import ctypes
import sys

TRIM, MMAP, ARENAS = -1, -3, -8  # glibc's M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX
FREE = 64 << 20  # bytes of free memory at the end of the heap that are kept
LARGEST = 32 << 20  # bytes: larger buffers are the system's as before, and glibc's own limit
LAYER = 4 << 20  # bytes: less than most that the layers of a network hold while they look at a picture


def keep_memory() -> bool:
    """For a process that measures pictures: what one needed is kept for the next one.

    By default glibc gives buffers of pictures back each time, and the system has to clear every page of the next one: a
    fifth of a worker's time went there. Returns whether the C library knows of such settings.
    """
    return _set((TRIM, FREE), (MMAP, LARGEST))


def hand_back() -> bool:
    """For a process of models, whose threads take turns: they share what memory they have, where each would keep its
    own; and what a layer held goes back to the system at once, where it would lie in pieces between smaller things.

    It costs a quarter of an OCR's time, and saves an eighth of the process at its largest.
    """
    return _set((ARENAS, 1), (MMAP, LAYER))


def _set(*settings: tuple[int, int]) -> bool:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    return mallopt is not None and all(mallopt(*one) for one in settings)
