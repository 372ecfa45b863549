"""Pictures on their way to a rater: decoded, encoded again without a word of where they come from.

Lossless, since people judge what was drawn. The two of a card are made together and filled up to one length, so neither
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
PAGE = 4096
SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEAD = 2  # bytes that a zlib stream begins with
EMPTY = b"\x00\x00\x00\xff\xff"  # a stored block of no bytes
EMPTY_LONG = b"\x02" + EMPTY  # a block of Huffman's fixed codes that ends at once, then a stored one
LEAST = 4 * len(EMPTY_LONG)  # from here on every number of bytes is a sum of the two


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
    """Two pictures as PNG files of equal length, chunk by chunk, with nothing in them but pixels.

    A tuned model's pictures are as a rule smoother or richer than its base's, so how well one packs tells which it is.
    """
    streams = [_packed(first), _packed(second)]
    length = -(-(max(map(len, streams)) + LEAST) // PAGE) * PAGE
    return _png(first, _filled(streams[0], length)), _png(second, _filled(streams[1], length))


def degrade(picture: Image.Image) -> Image.Image:
    """A copy that nobody can prefer: an eighth of the detail, half of the contrast."""
    small = picture.resize((max(1, picture.width // 8), max(1, picture.height // 8)), Image.Resampling.BOX)
    rough = small.resize(picture.size, Image.Resampling.BICUBIC)
    return Image.blend(Image.new("RGB", picture.size, (128, 128, 128)), rough, 0.5)


def _packed(picture: Image.Image) -> bytes:
    """The pixels as PNG packs them: a zlib stream."""
    buffer = io.BytesIO()
    Image.frombytes("RGB", picture.size, picture.convert("RGB").tobytes()).save(buffer, format="PNG", compress_level=3)
    png, stream, at = buffer.getvalue(), b"", len(SIGNATURE)
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        stream += png[at + 8 : at + 8 + length] if kind == b"IDAT" else b""
        at += 12 + length
    return stream


def _filled(stream: bytes, length: int) -> bytes:
    """A zlib stream of the same content and the length asked for, at least LEAST more than it has.

    Blocks that hold nothing go behind its head, where every reader passes over them (RFC 1951): of 5 bytes and of 6.
    """
    missing = length - len(stream)
    long = missing % len(EMPTY)
    short = (missing - long * len(EMPTY_LONG)) // len(EMPTY)
    return stream[:HEAD] + EMPTY * short + EMPTY_LONG * long + stream[HEAD:]


def _png(picture: Image.Image, stream: bytes) -> bytes:
    """A PNG file of three chunks."""
    head = struct.pack(">IIBBBBB", *picture.size, 8, 2, 0, 0, 0)  # eight bits, RGB
    return SIGNATURE + _chunk(b"IHDR", head) + _chunk(b"IDAT", stream) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
