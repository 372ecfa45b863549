"""The first look at a set: every header is read, every picture gets its bucket, what is wrong is named and counted."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from emu.data.buckets import Bucket, assign
from emu.data.pictures import BadPicture, read_size
from emu.data.sources import Entry, Fault
from emu.errors import UserError, printable

NAMED = 5  # bad pictures that a message lists by name


@dataclass(frozen=True, slots=True)
class Picture:
    """A captioned picture that can be used: its size as looked at, and the shape it is brought to."""

    entry: Entry
    height: int
    width: int
    bucket: Bucket


class Faults:
    """What is wrong with single pictures, from the first look to the last step, under one stated limit."""

    def __init__(self, root: str, *, limit: int) -> None:
        self.root = root
        self.limit = limit
        self.messages: set[str] = set()

    def add(self, messages: Iterable[str]) -> str | None:
        """Count what was not known; returns a line that says what is skipped, None if there is nothing new.

        UserError where there are now more than `limit`.
        """
        new = [message for message in dict.fromkeys(messages) if message not in self.messages]
        if not new:
            return None
        self.messages.update(new)
        more = f"; and {len(new) - NAMED:,} more" if len(new) > NAMED else ""
        listed = "; ".join(map(printable, new[:NAMED])) + more
        if len(self.messages) > self.limit:
            raise UserError(
                f"data.root {self.root}: {len(self.messages):,} bad, data.max_bad allows {self.limit:,}: {listed}"
            )
        return f"data.root {self.root}: skipped, within data.max_bad {self.limit:,}: {listed}"


def survey(
    found: Iterable[Entry | Fault], buckets: Sequence[Bucket], *, max_pixels: int
) -> tuple[list[Picture], list[str]]:
    """The pictures that can be used, in the order found, and one line for each that cannot."""
    pictures: list[Picture] = []
    faults: list[str] = []
    for item in found:
        if isinstance(item, Fault):
            faults.append(item.message)
            continue
        try:
            height, width = read_size(item.open, max_pixels=max_pixels)
        except BadPicture as reason:
            faults.append(f"{item.name}: {reason}")
        else:
            pictures.append(Picture(item, height, width, assign(height, width, buckets)))
    return pictures, faults


def table(pictures: Sequence[Picture], *, at_once: int) -> list[str]:
    """A line a bucket: height, width, how many pictures, and how many batches where all devices take `at_once`."""
    count = Counter(picture.bucket for picture in pictures)
    return [
        f"  {height:>5} x {width:<5} {number:>9,} pictures {-(-number // at_once):>7,} batches"
        for (height, width), number in sorted(count.items())
    ]
