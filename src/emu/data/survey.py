"""The first look at a set: every header is read, every picture gets its bucket, what is wrong is named and counted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from emu.data.buckets import Bucket, assign
from emu.data.pictures import BadPicture, read_size
from emu.data.sources import Dropped, Entry, Fault, Item
from emu.data.sources.members import NONE
from emu.errors import UserError, printable

NAMED = 5  # pictures that a message lists by name


@dataclass(frozen=True, slots=True)
class Picture:
    """A captioned picture that can be used: its size as looked at, and the shape it is brought to."""

    entry: Entry
    height: int
    width: int
    bucket: Bucket

    @property
    def enlargement(self) -> float:
        """By what its sides are multiplied to cover the bucket; above 1 it has fewer pixels than are trained on."""
        return max(self.bucket[0] / self.height, self.bucket[1] / self.width)


@dataclass(frozen=True, slots=True)
class Survey:
    """What a source holds: pictures that can be used, in its order, and a line for everything else.

    `unread` are those of `dropped` that may hold captions.
    """

    pictures: list[Picture] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """All that the source holds."""
        return len(self.pictures) + len(self.faults) + len(self.dropped)


class Faults:
    """What is wrong with single pictures, from the first look to the last step, under one stated limit."""

    def __init__(self, root: str, *, limit: int) -> None:
        self.root = root
        self.limit = limit
        self.messages: set[str] = set()

    def add(self, messages: Iterable[str], *, unread: Sequence[str] = ()) -> str | None:
        """Count what was not known; returns a line that says what is skipped, None if there is nothing new.

        Where captions are missing it names `unread`, in which they may be. UserError: there are now more than `limit`.
        """
        new = [message for message in dict.fromkeys(messages) if message not in self.messages]
        if not new:
            return None
        self.messages.update(new)
        said = some(new)
        if unread and any(message.endswith(NONE) for message in new):
            said += f"; captions of many pictures are read from metadata.jsonl or .csv; not read: {some(unread)}"
        if len(self.messages) > self.limit:
            raise UserError(
                f"data.root {self.root}: {len(self.messages):,} bad, data.max_bad allows {self.limit:,}: {said}"
            )
        return f"data.root {self.root}: skipped, within data.max_bad {self.limit:,}: {said}"


def survey(found: Iterable[Item], buckets: Sequence[Bucket], *, max_pixels: int) -> Survey:
    """Looks at every header."""
    seen = Survey()
    for item in found:
        match item:
            case Fault(message):
                seen.faults.append(message)
            case Dropped(message, captions):
                seen.dropped.append(message)
                if captions:
                    seen.unread.append(message)
            case Entry():
                try:
                    height, width = read_size(item.open, max_pixels=max_pixels)
                except BadPicture as reason:
                    seen.faults.append(f"{item.name}: {reason}")
                else:
                    seen.pictures.append(Picture(item, height, width, assign(height, width, buckets)))
    return seen


def some(messages: Sequence[str]) -> str:
    """The first few messages as one line, and how many more there are."""
    more = f"; and {len(messages) - NAMED:,} more" if len(messages) > NAMED else ""
    return "; ".join(map(printable, messages[:NAMED])) + more
