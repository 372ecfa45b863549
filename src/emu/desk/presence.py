"""Who is here: what a rater has open counts as theirs until they have been away for a while."""

import time
from dataclasses import dataclass, field

AWAY = 600.0  # seconds, by a clock that nobody sets


@dataclass
class Presence:
    """When each rater was last here. All count as here when the server starts."""

    started: float = field(default_factory=time.monotonic)
    seen: dict[int, float] = field(default_factory=dict)

    def note(self, rater: int) -> None:
        self.seen[rater] = time.monotonic()

    def away(self, rater: int) -> bool:
        return time.monotonic() - self.seen.get(rater, self.started) > AWAY
