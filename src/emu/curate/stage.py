"""What a stage of the funnel is: a subclass measures one picture; a Selection also looks at all pictures at once.

A stage only measures. Who leaves is said by the config, as limits on what was measured (`config.Step`); a Selection
says it itself, from the small table of scores, after every picture has been looked at.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emu import answers
from emu.curate.picture import Picture
from emu.errors import UserError

Value = str | int | float | bool | bytes | None
Row = dict[str, Value]  # column -> what was measured of a picture
Scores = Mapping[str, Any]  # column -> an array with a value a picture, or `Mapped`; NaN or None if not measured


class Stage(ABC):
    """Measures single pictures."""

    name: str
    """How config, manifest and page call it; one funnel has every name once."""

    columns: Mapping[str, str] = {}
    """What `measure` adds to a picture's row: column -> pyarrow's name of its type, unsigned for hashes alone."""

    side: int | None = None
    """The least length of the sides that it wants to see: a JPEG may come scaled down to it. 0: every pixel; None: no
    pixels at all."""

    batch: int = 1
    """How many pictures it would rather see together: more than one, and they wait, as small copies, until so many of
    their shard have come to it."""

    shared: bool = False
    """Whether its model is so large that the workers of a pool share one: it is then shown `small(side)` and the text
    alone, one picture at a time."""

    threads: int = 1
    """How many cores it may use at once: those of all workers, where they share it."""

    packages: Mapping[str, str] = {}
    """Modules that it imports -> the extra of emu that brings them."""

    def measure(self, picture: Picture) -> Row:
        """The values of `columns`. Raises BadPicture where the file cannot be used; UserError ends the whole job.

        A stage that has columns has this or `measure_many` of its own.
        """
        return self.measure_many([picture])[0] if self.columns else {}

    def measure_many(self, pictures: Sequence[Picture]) -> list[Row]:
        """The same of up to `batch` pictures. What it raises costs nobody a row: they are then measured one by one."""
        return [self.measure(picture) for picture in pictures]

    def checked(self, found: Row) -> Row:
        """A row that was measured. UserError, which ends the job: it has not the stage's columns."""
        if not isinstance(found, Mapping) or found.keys() - self.columns.keys():
            raise answers.refuse(self, "measure", found, f"a dict of {', '.join(self.columns) or 'nothing'}")
        return {**dict.fromkeys(self.columns), **found}

    def reads_captions(self) -> bool:
        """Whether it has nothing to say of a picture without one; found before any model is there."""
        return False

    def require(self) -> None:
        """UserError where a package or a model that it needs is not there: no stage is ever passed silently."""
        for module, extra in self.packages.items():
            if find_spec(module) is None:
                raise UserError(
                    f"stage {self.name}: needs {module}; pip install 'emu-quality-tuning[{extra}]', or take the stage "
                    "out of the config"
                )


class Reasons(Mapping[int, str]):
    """Why pictures left, put into words when it is asked for: a million sentences are 250 MB.

    Args:
        leaves: bool (n,), who leaves.
        words: row -> why it left; called with those that leave only.
    """

    def __init__(self, leaves: NDArray[np.bool_], words: Callable[[int], str]) -> None:
        self.leaves, self.words = leaves, words

    def __getitem__(self, row: int) -> str:
        if not self.leaves[row]:
            raise KeyError(row)
        return self.words(row)

    def __iter__(self) -> Iterator[int]:
        return map(int, np.flatnonzero(self.leaves))

    def __len__(self) -> int:
        return int(self.leaves.sum())


@dataclass
class Choice:
    """What a Selection decided.

    Args:
        leaves: bool (n,), who leaves.
        reasons: row -> why, for those who leave; `Reasons` where they may be many.
        notes: what to keep in the manifest: thresholds found, counts before and after.
        twins: row -> the row that stays in its place, where it left for one.
    """

    leaves: NDArray[np.bool_]
    reasons: Mapping[int, str]
    notes: dict[str, Any] = field(default_factory=dict)
    twins: Mapping[int, int] = field(default_factory=dict)


class Selection(Stage):
    """Decides over all pictures that are still there, by a few columns of the score table."""

    reads: tuple[str, ...] = ()
    """The columns that `choose` looks at."""

    numbers: tuple[str, ...] = ()
    """Those of them that must hold numbers."""

    @abstractmethod
    def choose(self, scores: Scores, there: NDArray[np.bool_]) -> Choice:
        """Of the n pictures, `there` (n,) says which are still in the funnel. The same input gives the same choice."""
