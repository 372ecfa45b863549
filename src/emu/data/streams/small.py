"""Pictures of a stream that are smaller than what they are brought to, which nobody sees before they come."""

from dataclasses import dataclass

from torch import Tensor

ENOUGH = 1000  # pictures that say how a stream is


@dataclass
class Small:
    """Of one device."""

    root: str
    handed: int = 0
    enlarged: int = 0

    def add(self, size: Tensor) -> str | None:
        """Count those of a batch, by its `size` int64 (b,6); a line for the log once enough were seen, if any is."""
        if self.handed >= ENOUGH:
            return None
        self.handed += len(size)
        self.enlarged += int((size[:, :2] < size[:, 4:]).any(dim=1).sum())
        if not self.enlarged or self.handed < ENOUGH:
            return None
        return (
            f"data.root {self.root}: of the first {self.handed:,} pictures {self.enlarged:,} are smaller than their "
            "shape and are enlarged; a stage of fewer pixels, or shards of larger pictures, shows them as they are"
        )
