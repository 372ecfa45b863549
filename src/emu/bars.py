"""How far a command is: a bar where somebody looks at it, and in a log a line now and then.

Notable: tqdm rewrites its line ten times a second wherever it writes to, which makes of a log one line of megabytes.
"""

from collections.abc import Callable
from typing import IO, Any, TypeVar

from tqdm import tqdm

Shown = TypeVar("Shown")
PACE = {True: 0.1, False: 30.0}  # seconds from one state to the next, on a terminal and in a log


class Bar(tqdm):  # type: ignore[misc]  # tqdm gives its classes no types
    """tqdm's, which writes lines into a log."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        paced(self)

    @staticmethod
    def status_printer(file: IO[str]) -> Callable[[str], None]:
        """What writes a state of the bar."""
        rewriting: Callable[[str], None] = tqdm.status_printer(file)
        return rewriting if file.isatty() else lines(file)

    def close(self) -> None:
        """As tqdm's; a log's last line has its end already."""
        if not self.disable and not self.fp.isatty():
            self.refresh()
            self.sp = None
        super().close()


def paced(bar: Shown) -> Shown:
    """A bar of any kind of tqdm's, as often as someone looks, and in lines where nobody does."""
    of_tqdm: Any = bar
    if not of_tqdm.disable:
        terminal = of_tqdm.fp.isatty()
        of_tqdm.mininterval = PACE[terminal]
        of_tqdm.maxinterval = max(of_tqdm.maxinterval, of_tqdm.mininterval)
        of_tqdm.sp = of_tqdm.sp if terminal else lines(of_tqdm.fp)
    return bar


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
