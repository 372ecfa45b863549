"""One picture on its way through the funnel: read once, decoded at most once; and the small one that the page shows."""

import hashlib
import io
from collections import Counter
from collections.abc import Set
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from emu.data.pictures import BadPicture, Header, decode, read_header
from emu.data.sources import Entry
from emu.offline import webp

if TYPE_CHECKING:
    from torch import Tensor

THUMBNAIL = 144  # pixels
REMOVED = 6  # thumbnails of a shard and limit
STAYING = 96  # of a shard: some leave later, where all pictures are looked at, or are what others leave for
MIDDLE = 512  # pixels: smaller ones are made of the one with sides of at least so many, which is made once
LUMA = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)  # ITU-R BT.709, on the stored values


class Picture:
    """An entry of a source with its bytes.

    Args:
        entry: where it comes from.
        content: its file's bytes.
        side: a JPEG may be scaled down while it is decoded, to sides no shorter than this; 0 for all of its pixels.
        max_pixels: more are refused.
    """

    def __init__(self, entry: Entry, content: bytes, *, side: int, max_pixels: int) -> None:
        self.name, self.text, self.columns = entry.name, entry.text, entry.columns
        self.content, self.side, self.max_pixels = content, side, max_pixels
        self.kept: dict[int, Image.Image] = {}
        self.cut: tuple[int, int] | None = None  # (width, height) of what `crop` left
        self.embeddings: dict[str, Tensor] = {}  # embedder and views -> what it saw

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @cached_property
    def header(self) -> Header:
        """Format and size, without decoding. BadPicture: no picture, or too large a one."""
        return read_header(self._open, max_pixels=self.max_pixels)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the picture as it would be kept. BadPicture as for `header`."""
        return self.cut or (self.header.width, self.header.height)

    @cached_property
    def image(self) -> Image.Image:
        """Upright, sRGB, mode RGB. BadPicture: broken."""
        return decode(self._open, max_pixels=self.max_pixels, least=self.side or None)

    def crop(self, box: tuple[int, int, int, int]) -> None:
        """Cut the decoded picture to (left, top, right, bottom); later stages see no more than that."""
        self.image = self.image.crop(box)
        self.cut = self.image.size
        self.kept, self.embeddings = {}, {}

    def small(self, side: int) -> Image.Image:
        """The picture, its sides divided by whole numbers where they stay at least `side` long; 0 for all of it."""
        if side in self.kept:
            return self.kept[side]
        if not 0 < side < MIDDLE or min(self.image.size) < 2 * MIDDLE:
            return reduced(self.image, side)
        if MIDDLE not in self.kept:
            self.kept[MIDDLE] = reduced(self.image, MIDDLE)
        return reduced(self.kept[MIDDLE], side)

    def shrink(self, sides: Set[int]) -> int:
        """Keep no more than what `small` gives at these sides, as long as the picture waits; returns the bytes held."""
        if 0 not in sides:
            self.kept = {side: self.small(side) for side in sides}
            self.image = max(self.kept.values(), key=lambda image: image.width)
        held = {id(image): 3 * image.width * image.height for image in (self.image, *self.kept.values())}
        return len(self.content) + sum(held.values())

    def _open(self) -> io.BytesIO:
        return io.BytesIO(self.content)


def reduced(image: Image.Image, side: int) -> Image.Image:
    """The picture, its sides divided by a whole number where they stay at least `side` long."""
    times = min(image.size) // side if side else 1
    return image.reduce(times) if times > 1 else image


def read(entry: Entry, *, max_bytes: int) -> bytes:
    """An entry's file. BadPicture: cannot be read, or longer than `max_bytes`, of which no more is read."""
    try:
        with entry.open() as stream:
            content: Any = stream.read(max_bytes + 1)
    except (OSError, ValueError, EOFError) as error:
        raise BadPicture(f"cannot be read ({error})") from None
    if len(content) > max_bytes:
        raise BadPicture(f"longer than {max_bytes:,} bytes")
    return bytes(content)


class Thumbnails:
    """Which pictures of a shard get a small one, while they are decoded anyway: a server may not give them again.

    Only some shards have them, the first ones and then each whose number is a power of two: spread over a source of any
    size, and never more than a few megabytes.
    """

    def __init__(self, shard: int) -> None:
        self.wanted = shard < 4 or shard & (shard - 1) == 0
        self.seen: Counter[str | None] = Counter()

    def of(self, picture: Picture, why: str | None) -> bytes | None:
        """A WebP, for the first ones that leave for a limit and that stay, whose `why` is None."""
        if not self.wanted or self.seen[why] >= (STAYING if why is None else REMOVED):
            return None
        self.seen[why] += 1
        try:
            return webp(picture.small(THUMBNAIL), THUMBNAIL)
        except BadPicture:
            return None
