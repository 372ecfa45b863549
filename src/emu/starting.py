"""A start without a search for garbage: it would go through every object of torch and diffusers again and again.

That takes a fifth of the CPU seconds until a run's first step, and finds nothing (docs/results/step.md). What has
been imported stays until the process ends, so that later searches leave it out, too.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def starting() -> Iterator[None]:
    """Inside, no garbage is looked for until `started` is called."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def started() -> None:
    """The model is loaded, and all imported: garbage is looked for from now on, but not in what is there."""
    if gc.isenabled():  # of a program that uses emu as a library, whose objects are its own affair
        return
    if not gc.get_freeze_count():  # of a second command of one process the first one's garbage is not to stay
        gc.freeze()
    gc.enable()
