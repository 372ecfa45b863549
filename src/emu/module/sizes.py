"""Sizes: which pictures a model takes, which it draws, and what one makes that starts from a picture."""

from typing import Any, ClassVar

from emu.errors import UserError
from emu.module.pipeline import PipelineModule
from emu.storage.shapes import Arguments


class Sized(PipelineModule):
    """What a model knows of the sides of its pictures.

    Args:
        pretrained: as in `PipelineModule`, like all that is not named here.
        resolution: side in pixels of the pictures that `sample` draws; None for the pipeline's own.
    """

    starts_from_picture: ClassVar[bool] = False
    """Whether it makes pictures of pictures: `cond` of `sample` then holds "image", float (b,3,h,w) in [-1,1]."""
    beside: ClassVar[int] = 0
    """Channels that its network takes beside what it draws: those of the picture that it starts from."""

    def __init__(self, pretrained: str, *, resolution: int | None = None, **kwargs: Any) -> None:
        super().__init__(pretrained, **kwargs)
        self.resolution = resolution

    @property
    def size_multiple(self) -> int:
        """Heights and widths in pixels are multiples of it."""
        return 1

    def check_size(self, height: int, width: int) -> None:
        """Raise UserError where the model cannot take pictures of so many pixels."""
        multiple = self.size_multiple
        if min(height, width) < multiple or height % multiple or width % multiple:
            raise UserError(
                f"data.resolution: {type(self).__name__} takes sides that are multiples of {multiple} pixels, "
                f"not {height}x{width}" + " (data.bucket_step)" * (height != width)
            )

    def size_attributes(self, height: int, width: int) -> Arguments:
        """What a pipeline, ours or a plain one, is to have to draw that size, and not one of its own; most take any."""
        return {}

    def allow_size(self, pipeline: Any, height: int, width: int) -> None:
        """Give a pipeline its `size_attributes`."""
        for name, value in self.size_attributes(height, width).items():
            setattr(pipeline, name, value)

    def size_arguments(self, height: int | None, width: int | None) -> Arguments:
        """What the pipeline's call is given for a size; nothing where None, or where its picture says it."""
        return {name: side for name, side in (("height", height), ("width", width)) if side}

    @property
    def factor(self) -> int:
        """Sides of what it draws over those of the picture that it starts from."""
        return 1

    @property
    def start_side(self) -> int:
        """Side in pixels of a picture to start from where nobody brings one, as its own proofs do."""
        return (self.resolution or 256) // self.factor

    def enlarged(self, h: int, w: int, *, height: int | None = None, width: int | None = None) -> tuple[int, int]:
        """Height and width of what it draws of a picture of h x w pixels. UserError: that, or the size asked for."""
        sides, multiple = (self.factor * h, self.factor * w), max(1, self.size_multiple // self.factor)
        kind, asked = type(self).__name__, (height or self.factor * h, width or self.factor * w)
        if h % multiple or w % multiple:
            raise UserError(f"{kind} starts from pictures whose sides are multiples of {multiple} pixels, not {h}x{w}")
        if asked != sides:
            made = f"{sides[0]}x{sides[1]} pixels of a picture of {h}x{w}"
            raise UserError(f"{kind} makes {made}, not {asked[0]}x{asked[1]}; leave width and height out")
        return sides
