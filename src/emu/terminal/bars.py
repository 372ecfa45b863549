"""How far a command is: a bar where somebody looks at it, and in a log a line now and then.

Notable: tqdm rewrites its line ten times a second wherever it writes to, which makes of a log one line of megabytes.
"""

import sys
from collections.abc import Callable
from typing import IO, Any

from tqdm import tqdm

PACE = {True: 0.1, False: 30.0}  # seconds from one state to the next, on a terminal and in a log


class Bar(tqdm):  # type: ignore[misc]  # tqdm gives its classes no types
    """tqdm's, which writes lines into a log."""

    def __init__(self, *given: Any, file: IO[str] | None = None, **named: Any) -> None:
        file = file or sys.stderr
        pace = PACE[file.isatty()]
        super().__init__(*given, file=file, mininterval=pace, maxinterval=max(pace, 10.0), **named)

    @staticmethod
    def status_printer(file: IO[str]) -> Callable[[str], None]:
        """What writes a state of the bar."""
        rewriting: Callable[[str], None] = tqdm.status_printer(file)
        return rewriting if file.isatty() else lines(file)

    def moveto(self, n: int) -> None:
        """Go to the row of a bar under another one; a line of a log has none."""
        if self.fp.isatty():
            super().moveto(n)

    def close(self) -> None:
        """As tqdm's; the last line of a log has its end already."""
        if not self.disable and not self.fp.isatty():
            if self.leave is not False:
                self.refresh()
            self.sp = None
        super().close()


def only_ours() -> None:
    """Show no bars of the libraries that are imported: on a terminal they stand beside ours, and make a log one line.

    What the hub downloads is theirs to show, on a terminal; for that, and for `datasets`, see `emu.cli`.
    """
    for name in ("transformers.utils.logging", "diffusers.utils.logging"):
        if name in sys.modules:
            sys.modules[name].disable_progress_bar()


def lines(file: IO[str]) -> Callable[[str], None]:
    """Writes each state that is none of before as a line."""
    last = ""

    def write(state: str) -> None:
        nonlocal last
        if state and state != last:
            last = state
            file.write(state + "\n")
            file.flush()

    return write
