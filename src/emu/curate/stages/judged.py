"""A judge of the project as a stage: appeal, alignment of picture and caption, whatever it is a judge of."""

import inspect
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from emu import trust
from emu.curate.picture import Picture
from emu.curate.pixels import SIDE, tensors
from emu.curate.stage import Row, Stage
from emu.errors import UserError

if TYPE_CHECKING:
    from emu.judges import Judge


class Judged(Stage):
    """What a judge says of a picture and its caption; on a GPU where there is one, on one thread a worker otherwise.

    Judges that can take many pictures in one forward pass do (`Judge.score_many`).

    Args:
        judge: CLASS_PATH or CLASS_PATH:ARG, as `emu compare` takes it; ARG is its first argument.
        column: what the score is called, and the stage.
        side: the least length of the sides that the judge is shown; larger pictures are scaled down.
        batch: pictures that it is shown together.
    """

    def __init__(self, judge: str, column: str, side: int = SIDE, batch: int = 16) -> None:
        self.given, self.name, self.column, self.side, self.batch = judge, column, column, side, batch
        self.columns = {column: "float64"}

    @cached_property
    def judge(self) -> "Judge":
        from emu.judges import Judge

        class_path, colon, argument = self.given.partition(":")
        arguments = [argument] if colon else []
        chosen = trust.load(class_path, where=f"stage {self.name}: judge")
        if not (isinstance(chosen, type) and issubclass(chosen, Judge)):
            raise UserError(f"stage {self.name}: {self.given} is no emu.judges.Judge; name a class that is one")
        try:
            inspect.signature(chosen).bind(*arguments)
            made: Judge = chosen(*arguments)
        except (ImportError, AttributeError, ValueError, TypeError, OSError) as error:
            raise UserError(f"stage {self.name}: judge {self.given}: {error}; give one such as {EXAMPLE}") from None
        return made

    def require(self) -> None:
        super().require()
        self.judge.require()

    def measure(self, picture: Picture) -> Row:
        return self.measure_many([picture])[0]

    def measure_many(self, pictures: Sequence[Picture]) -> list[Row]:
        scores = self.judge.score_many(tensors(pictures, self.side or 0), [picture.text for picture in pictures])
        return [{self.column: score} for score in scores.tolist()]


EXAMPLE = "emu.judges.clip.ClipScore:openai/clip-vit-large-patch14"
