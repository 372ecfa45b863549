"""A judge of the project as a stage: appeal, alignment of picture and caption, whatever it is a judge of."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from emu.class_paths import named
from emu.curate.picture import Picture
from emu.curate.pixels import SIDE, tensors
from emu.curate.stage import Row, Stage

if TYPE_CHECKING:
    from emu.judges import Judge


class Judged(Stage):
    """What a judge says of a picture and its caption; on a GPU where there is one, on one thread a worker otherwise.

    Judges that can take many pictures in one forward pass do (`Judge.score_many`).

    Args:
        judge: CLASS_PATH[:ARG][,NAME=VALUE], as `emu compare` takes it; ARG is its first argument, such as a model, and
            `sha256=` pins its weights.
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

        return named.make(self.given, Judge, where=f"stage {self.name}: judge", like=EXAMPLE)

    def reads_captions(self) -> bool:
        from emu.judges import Judge

        return named.find(
            self.given.partition(":")[0], Judge, where=f"stage {self.name}: judge", like=EXAMPLE
        ).reads_prompts

    def require(self) -> None:
        super().require()
        self.judge.require()

    def measure_many(self, pictures: Sequence[Picture]) -> list[Row]:
        from emu.judges.judge import column

        given = self.judge.score_many(tensors(pictures, self.side or 0), [picture.text for picture in pictures])
        scores = column(self.judge, "score_many", given, len(pictures))
        return [{self.column: score} for score in scores.tolist()]


EXAMPLE = "emu.judges.clip.ClipScore:openai/clip-vit-large-patch14"
