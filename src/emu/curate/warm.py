"""What the workers of a pool share: imported once, by the process that they are forked from, and in memory once.

Importing this module does it.
"""

import gc
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.abc import MetaPathFinder
from types import ModuleType

import pyarrow as pa

import emu.curate.stages
import emu.curate.work  # noqa: F401


class Withheld(MetaPathFinder):
    """Finds no pandas."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        """ImportError where it is asked for pandas; leaves the rest to others."""
        if name == "pandas":
            raise ImportError(f"{name} is not needed yet")


def first_array() -> None:
    """pyarrow imports pandas when it first makes an array, 25 MB and a fifth of a second. If it is not found then, it
    is looked for again only where somebody asks for a pandas object."""
    withheld = Withheld()
    sys.meta_path.insert(0, withheld)
    pa.array([0])
    sys.meta_path.remove(withheld)


first_array()
with suppress(ImportError):  # of the extra `curate`; it takes SciPy's cosine transform where it is first called
    import imagehash  # noqa: F401
    import scipy.fftpack  # noqa: F401
gc.freeze()  # a search for garbage writes into every object that it looks at, and what is written to is shared no more
