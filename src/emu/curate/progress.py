"""How far a funnel is, in the terminal: pictures measured, of how many, how fast, and how long the rest will take."""

from collections.abc import Callable, Iterable
from threading import Event, Thread

from emu.errors import UserError
from emu.terminal.bars import Bar


class Progress:
    """A bar whose total is counted beside the work: sources are listed without their pictures, which is quick.

    Args:
        source: lists all that the source holds.
    """

    def __init__(self, source: Callable[[], Iterable[object]]) -> None:
        self.bar = Bar(desc="measured", unit=" pictures")
        self.over = Event()
        self.counting = Thread(target=self._count, args=(source,), daemon=True)
        self.counting.start()

    def measured(self, pictures: int) -> None:
        """So many more."""
        self.bar.update(pictures)

    def found(self, pictures: int) -> None:
        """So many were measured by an earlier call, which says nothing of how fast this one is."""
        self.bar.initial += pictures
        self.bar.update(pictures)

    def close(self) -> None:
        """No more will come."""
        self.over.set()
        self.counting.join()
        self.bar.close()

    def _count(self, source: Callable[[], Iterable[object]]) -> None:
        number = 0
        try:
            for _ in source():
                if self.over.is_set():
                    return
                number += 1
        except UserError:  # who reads the source for the work says it
            return
        self.bar.total = number
        self.bar.refresh()
