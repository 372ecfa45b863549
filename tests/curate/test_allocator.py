"""What the C library does with memory that is free again."""

import subprocess
import sys

HELD = """
import ctypes, sys
from emu.curate.allocator import hand_back

known = hand_back() if sys.argv[1] == "hand back" else True
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p

def resident():
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) >> 10

def layer():
    place = ctypes.c_void_p(libc.malloc(ctypes.c_size_t(24 << 20)))
    ctypes.memset(place, 1, 24 << 20)
    return place

libc.free(layer())  # from now on the C library would keep such a buffer
before = resident()
first = layer()
libc.malloc(ctypes.c_size_t(100_000))  # what stays, behind it
libc.free(first)
print(resident() - before if known else 0)
"""


def held(how: str) -> int:
    """MB that are still a process's after it let go of 24."""
    done = subprocess.run([sys.executable, "-c", HELD, how], check=True, capture_output=True, text=True)
    return int(done.stdout)


def test_what_a_layer_held_goes_back_at_once() -> None:
    assert held("hand back") < 8
