"""Pictures on their way to a rater: decoded, encoded again without a word of where they come from.

Lossless, since people judge what was drawn. The two of a card are made together and padded to one length, so neither
size nor time tells them apart.
"""

import io
import struct
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Hashable

from PIL import Image

Sides = tuple[bytes, bytes]

KEPT = 96 * 2**20  # bytes of encoded pictures kept in memory
END = 12  # a PNG ends with an IEND chunk of so many bytes
PAGE = 4096


class Pictures:
    """Makes the two pictures of a key once, and keeps the newest in memory."""

    def __init__(self, make: Callable[[Hashable], tuple[Image.Image, Image.Image]], *, kept: int = KEPT) -> None:
        self.make = make
        self.kept = kept
        self.made: OrderedDict[Hashable, Sides] = OrderedDict()
        self.lock = threading.Lock()
        self.making: dict[Hashable, threading.Lock] = {}

    def sides(self, key: Hashable) -> Sides:
        """PNG files of equal length. Who asks while another has them made waits for the same."""
        with self.lock:
            mine = self.making.setdefault(key, threading.Lock())
        with mine:
            with self.lock:
                if key in self.made:
                    self.made.move_to_end(key)
                    return self.made[key]
            sides = encode(*self.make(key))
            with self.lock:
                self.made[key] = sides
                self.making.pop(key, None)
                while sum(len(first) + len(second) for first, second in self.made.values()) > self.kept:
                    self.made.popitem(last=False)
            return sides


def encode(first: Image.Image, second: Image.Image) -> Sides:
    """Two pictures as PNG files of equal length, a multiple of 4 KiB, with nothing in them but pixels."""
    files = [_png(first), _png(second)]
    length = -(-(max(map(len, files)) + END) // PAGE) * PAGE
    return _padded(files[0], length), _padded(files[1], length)


def degrade(picture: Image.Image) -> Image.Image:
    """A copy that nobody can prefer: an eighth of the detail, half of the contrast."""
    small = picture.resize((max(1, picture.width // 8), max(1, picture.height // 8)), Image.Resampling.BOX)
    rough = small.resize(picture.size, Image.Resampling.BICUBIC)
    return Image.blend(Image.new("RGB", picture.size, (128, 128, 128)), rough, 0.5)


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    Image.frombytes("RGB", picture.size, picture.convert("RGB").tobytes()).save(buffer, format="PNG", compress_level=3)
    return buffer.getvalue()


def _padded(png: bytes, length: int) -> bytes:
    """Zeros before the end, in a chunk that every reader skips: its name is ancillary and private."""
    content = b"paDd" + bytes(length - len(png) - 12)
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    return png[:-END] + chunk + png[-END:]
