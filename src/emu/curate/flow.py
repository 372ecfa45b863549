"""A shard's pictures on their way through the stages: most stages see them one at a time, some in batches.

Where a stage takes batches, pictures wait before it, as small copies, until enough of their shard have come or what
waits is large enough. So a batch is made of the same pictures whenever the shard is measured: the last bits of a score,
which may depend on who is measured together, do not depend on kills, on the engine or on the number of workers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from emu import answers
from emu.curate.config import Funnel
from emu.curate.picture import THUMBNAIL, Picture
from emu.curate.stage import Row, Stage
from emu.data.pictures import BadPicture
from emu.errors import UserError

HELD = 128 << 20  # bytes that wait before all stages together, a worker

Tell = Callable[[Sequence[int]], None]


@dataclass(frozen=True)
class Left:
    """Where and why a picture left: what `failed` could not be used."""

    step: int
    reason: str
    failed: bool = False

    @property
    def columns(self) -> Row:
        """For its row."""
        return {"left": self.step, "failed": self.failed, "reason": self.reason}


@dataclass
class Passenger:
    """A picture under way, its place in the shard and its row, which is filled in as it goes."""

    index: int
    picture: Picture
    row: Row
    left: Left | None = None
    held: int = 0  # bytes, while it waits
    cut: tuple[int, int] | None = None  # what is left of it, as far as the stages behind it know

    def leave(self, left: Left) -> None:
        """It goes no further."""
        self.left = left
        self.row |= left.columns


class Flow:
    """Takes pictures in their order, and hands each on once it is known how it ended.

    Args:
        funnel: the stages.
        tell: hears which pictures are looked at next.
        leave: is called with each picture once it has left or come through; not of those that could not be decoded.
        alone: nobody waits: a batch is one picture.
    """

    def __init__(self, funnel: Funnel, tell: Tell, leave: Callable[[Passenger], None], *, alone: bool = False) -> None:
        self.steps, self.tell, self.leave = funnel.steps, tell, leave
        self.queues: dict[int, list[Passenger]] = {
            number: [] for number, step in enumerate(self.steps) if step.stage.batch > 1
        }
        self.longest = {number: 1 if alone else self.steps[number].stage.batch for number in self.queues}
        self.most = HELD // max(len(self.queues), 1)

    def enter(self, one: Passenger) -> None:
        """A picture goes as far as it comes."""
        self._go(one, 0)

    def finish(self) -> None:
        """No more will come: who waits need not."""
        for number in self.queues:
            self._batch(number)

    def _go(self, one: Passenger, start: int) -> None:
        for number in range(start, len(self.steps)):
            if number in self.queues:
                self._wait(one, number)
                return
            if not self._take(one, number, self._measured(self.steps[number].stage, one, number)):
                return
        self.leave(one)

    def _wait(self, one: Passenger, number: int) -> None:
        later = {step.stage.side for step in self.steps[number:] if step.stage.side is not None}
        try:
            one.held = one.picture.shrink({THUMBNAIL, *later})
        except BadPicture as reason:
            one.leave(Left(0, str(reason), failed=True))
            return
        queue = self.queues[number]
        queue.append(one)
        if len(queue) >= self.longest[number] or sum(other.held for other in queue) >= self.most:
            self._batch(number)

    def _batch(self, number: int) -> None:
        together, self.queues[number] = self.queues[number], []
        if not together:
            return
        self.tell([one.index for one in together])
        for one, found in zip(together, self._together(self.steps[number].stage, together, number), strict=True):
            if self._take(one, number, found):
                self.tell([one.index])
                self._go(one, number + 1)

    def _together(self, stage: Stage, pictures: list[Passenger], number: int) -> list[Row | Left]:
        try:
            rows = stage.measure_many([one.picture for one in pictures])
            if not isinstance(rows, Sequence) or len(rows) != len(pictures):
                raise answers.refuse(stage, "measure_many", rows, f"a list of {len(pictures)} rows, one a picture")
            return list(rows)
        except UserError:  # of the config, such as a model that is not there: no picture is to blame
            raise
        except Exception:  # of one of them: each alone shows which
            return [self._measured(stage, one, number) for one in pictures]

    @staticmethod
    def _measured(stage: Stage, one: Passenger, number: int) -> Row | Left:
        try:
            return stage.measure(one.picture)
        except BadPicture as reason:  # met by the first stage that looks at pixels, and a matter of the file
            return Left(0, str(reason), failed=True)
        except UserError:
            raise
        except Exception as error:  # of this picture, whatever it is: it costs one row
            return Left(number, f"{type(error).__name__}: {error}", failed=True)

    def _take(self, one: Passenger, number: int, found: Row | Left) -> bool:
        """What a step found goes into the row; whether the picture stays."""
        if isinstance(found, Left):
            one.leave(found)
            if found.step:  # else it could not be decoded: nothing of it can be shown
                self.leave(one)
            return False
        one.row |= self.steps[number].stage.checked(found)
        verdict = self.steps[number].verdict(one.row)
        if verdict is not None:
            cut = f" once cut to {one.cut[0]} x {one.cut[1]}" if one.cut else ""
            one.leave(Left(number, verdict + cut))
            self.leave(one)
            return False
        return one.picture.cut == one.cut or self._meets_earlier_limits(one, number)

    def _meets_earlier_limits(self, one: Passenger, number: int) -> bool:
        """The stages before `number`, which has cut the picture, measure what is left of it."""
        one.cut = one.picture.cut
        earlier = enumerate(self.steps[:number])
        return all(self._take(one, place, self._measured(step.stage, one, place)) for place, step in earlier)
