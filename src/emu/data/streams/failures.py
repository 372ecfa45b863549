"""What fails in a stream, shards and pictures: counted, named now and then, and under one stated share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from emu.data.survey import some
from emu.errors import UserError, printable

LEAST = 1000  # pictures that a share is taken of at first, so that one bad picture of three ends nothing


@dataclass
class Failures:
    """Of one lane, or of a device's lanes together.

    Args:
        root: for messages.
        limit: share of the pictures read that may fail, and of the shards that there are.
        shards: how many there are.
    """

    root: str
    limit: float
    shards: int
    read: int = 0
    pictures: int = 0
    last: list[str] = field(default_factory=list)  # the newest of the pictures
    lost: dict[str, str] = field(default_factory=dict)  # shard -> why it was not read, or not to its end
    said: int = 0

    def add(self, read: int, pictures: Sequence[str], lost: Mapping[str, str]) -> None:
        """UserError where more has failed now than the limit allows."""
        self.read, self.pictures = self.read + read, self.pictures + len(pictures)
        self.last = list(dict.fromkeys([*self.last, *pictures]))[-5:]
        self.lost.update(lost)
        allowed = f"data.max_failed allows {self.limit:g} of them"
        if self.pictures > self.limit * max(LEAST, self.read):
            raise UserError(
                f"data.root {self.root}: {self.pictures:,} of {self.read:,} pictures read cannot be used, {allowed}: "
                f"{some(self.last)}"
            )
        if len(self.lost) > self.limit * self.shards:
            raise UserError(
                f"data.root {self.root}: {len(self.lost):,} of {self.shards:,} shards cannot be used, {allowed}: "
                f"{some(list(self.lost.values()))}"
            )

    def news(self) -> str | None:
        """A line for the log, at the first failure and each time that there are twice as many."""
        count = self.pictures + len(self.lost)
        if count < max(1, 2 * self.said):
            return None
        self.said = count
        newest = self.last[-1] if self.last else next(reversed(self.lost.values()))
        return (
            f"data.root {self.root}: passed over, within data.max_failed {self.limit:g}: {self.pictures:,} of "
            f"{self.read:,} pictures, {len(self.lost):,} of {self.shards:,} shards; the newest: {printable(newest)}"
        )
