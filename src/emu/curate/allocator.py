"""The C library's allocator, told to keep what a picture needed for the next one.

By default glibc gives buffers of pictures back to the system each time, and the system has to clear every page of the
next one: a fifth of a worker's time went there. What is kept is bounded; other C libraries are left as they are.
"""

import ctypes
import sys

TRIM, MMAP = -1, -3  # glibc's M_TRIM_THRESHOLD and M_MMAP_THRESHOLD
KEPT = 64 << 20  # bytes of free memory at the end of the heap
LARGEST = 32 << 20  # bytes: larger buffers are the system's as before, and glibc's own limit


def keep_memory() -> bool:
    """For a process that measures pictures, once; whether the allocator knows of such settings."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return False
    return bool(mallopt(TRIM, KEPT) and mallopt(MMAP, LARGEST))
