"""What any classifier of pictures says: the chance of the labels that the config names."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from emu.curate.picture import Picture
from emu.curate.pixels import one_thread
from emu.curate.stage import Row, Stage

if TYPE_CHECKING:
    from emu.judges.classifier import Classifier


class Classified(Stage):
    """The probability of some labels together, 0 to 1, by an image classifier of transformers.

    Args:
        model: by hub name or folder.
        labels: of the model; their probabilities are added up.
        column: what the sum is called, and the stage.
        side: the least length of the sides that the model is shown; larger pictures are scaled down.
        batch: pictures that it is shown together.
    """

    def __init__(self, model: str, labels: list[str], column: str, side: int = 448, batch: int = 16) -> None:
        self.model, self.labels, self.name, self.column = model, labels, column, column
        self.side, self.batch, self.columns = side, batch, {column: "float64"}

    @cached_property
    def classifier(self) -> "Classifier":
        from emu.judges.classifier import Classifier

        return Classifier(self.model)

    @cached_property
    def places(self) -> list[int]:
        return self.classifier.places(self.labels)

    def require(self) -> None:
        super().require()
        self.classifier.require()
        self.classifier.places(self.labels)

    def measure(self, picture: Picture) -> Row:
        return self.measure_many([picture])[0]

    def measure_many(self, pictures: Sequence[Picture]) -> list[Row]:
        one_thread()
        places = self.places
        found = self.classifier.probabilities([picture.small(self.side or 0) for picture in pictures])
        return [{self.column: min(chance, 1.0)} for chance in found[:, places].sum(1).tolist()]
