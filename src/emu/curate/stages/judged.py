"""A judge of the project as a stage: appeal, alignment of picture and caption, whatever it is a judge of."""

import inspect
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from emu.curate.picture import Picture
from emu.curate.stage import Row, Stage
from emu.errors import UserError

if TYPE_CHECKING:
    from emu.judges import Judge


class Judged(Stage):
    """What a judge says of a picture and its caption, one at a time: so no score depends on its neighbours.

    On a GPU where there is one, on one thread a worker otherwise.

    Args:
        judge: CLASS_PATH or CLASS_PATH:ARG, as `emu compare` takes it; ARG is its first argument.
        column: what the score is called, and the stage.
        side: the least length of the sides that the judge is shown; larger pictures are scaled down.
    """

    def __init__(self, judge: str, column: str, side: int = 448) -> None:
        self.given, self.name, self.column, self.side = judge, column, column, side
        self.columns = {column: "float64"}

    @cached_property
    def judge(self) -> "Judge":
        import torch

        from emu.judges import Judge

        torch.set_num_threads(1)  # each worker has one core
        class_path, colon, argument = self.given.partition(":")
        module, _, name = class_path.rpartition(".")
        arguments = [argument] if colon else []
        try:
            chosen = getattr(import_module(module), name)
            if not issubclass(chosen, Judge):
                raise UserError(f"stage {self.name}: {self.given} is no emu.judges.Judge; name a class that is one")
            inspect.signature(chosen).bind(*arguments)
            made: Judge = chosen(*arguments)
        except (ImportError, AttributeError, ValueError, TypeError, OSError) as error:
            raise UserError(f"stage {self.name}: judge {self.given}: {error}; give one such as {EXAMPLE}") from None
        return made

    def measure(self, picture: Picture) -> Row:
        judge = self.judge  # before torch: it sets the threads
        import torch

        pixels = torch.from_numpy(np.array(reduced(picture.image, self.side or 0)))
        image = pixels.permute(2, 0, 1)[None].float() / 255
        image = image.cuda() if torch.cuda.is_available() else image
        return {self.column: float(judge.score(image, [picture.text])[0])}


EXAMPLE = "emu.judges.clip.ClipScore:openai/clip-vit-large-patch14"


def reduced(image: Image.Image, side: int) -> Image.Image:
    """The picture, its sides divided by a whole number where they stay at least `side` long."""
    times = min(image.size) // side if side else 1
    return image.reduce(times) if times > 1 else image
