"""Which of two copies of a picture is the better one, whatever their pixels and places."""

from dataclasses import dataclass

from emu.curate.stage import Scores
from emu.curate.stages.detail import is_scaled_up

SIZED = 1.04  # times the short side: less apart, and two copies are of one size
COARSER = 1.5  # times the other's step: less apart, and two copies were rounded alike


@dataclass(frozen=True)
class Contest:
    """Two rows of the score table against each other, by what is plain to see; where nothing is, neither wins.

    Args:
        worse_by: column -> by how much more a copy is the worse one; of a negative one, by how much less.
        detail: whether the larger wins that holds more, and loses that was scaled up; of one size, who was rounded to
            coarser steps loses.
    """

    worse_by: dict[str, float]
    detail: bool

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns that it looks at, beside width and height."""
        return (*self.worse_by, *(["detail", "coarseness"] if self.detail else []))

    def wins(self, scores: Scores, one: int, other: int) -> bool:
        """Whether one is plainly better than the other."""
        for column, margin in self.worse_by.items():
            more = (float(scores[column][one]) - float(scores[column][other])) / margin
            if abs(more) >= 1:
                return more < 0
        return self.detail and self._holds_more(scores, one, other)

    def _holds_more(self, scores: Scores, one: int, other: int) -> bool:
        sides = {row: int(min(scores["width"][row], scores["height"][row])) for row in (one, other)}
        smaller, larger = sorted(sides, key=lambda row: sides[row])
        if sides[larger] < SIZED * sides[smaller]:
            return bool(scores["coarseness"][one] * COARSER < scores["coarseness"][other])
        detail = scores["detail"]
        return one == (smaller if is_scaled_up(detail[larger], detail[smaller], sides[smaller]) else larger)
