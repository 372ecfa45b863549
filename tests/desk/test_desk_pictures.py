"""The two pictures of a card: the same pixels, and no rule about sizes that guesses the smoother one."""

import gzip
import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter

pytest.importorskip("sqlalchemy", reason="the extra `desk` is not installed")

from emu.desk.pictures import LEAST, PAGE, _filled, encode


def drawn(seed: int) -> tuple[Image.Image, Image.Image]:
    """A rough picture and a smooth one, as before and after tuning: which file is smaller nobody need guess."""
    rng = np.random.default_rng(seed)
    rough = Image.fromarray(rng.integers(0, 256, (40, 56, 3), dtype=np.uint8))
    return rough, rough.filter(ImageFilter.GaussianBlur(rng.uniform(1, 4)))


def chunks(png: bytes) -> list[tuple[bytes, int]]:
    found, at = [], 8
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        assert struct.unpack_from(">I", png, at + 8 + length) == (zlib.crc32(png[at + 4 : at + 8 + length]),)
        found.append((kind, length))
        at += 12 + length
    return found


@given(st.binary(max_size=300), st.integers(0, 4))
def test_a_filled_stream_says_the_same_at_every_length(content: bytes, more: int) -> None:
    stream = zlib.compress(content)
    for length in range(len(stream) + LEAST, len(stream) + LEAST + 12):
        filled = _filled(stream, length + more * PAGE)
        assert len(filled) == length + more * PAGE
        assert zlib.decompress(filled) == content


@pytest.mark.parametrize("seed", range(4))
def test_the_pixels_are_those_that_were_drawn(seed: int) -> None:
    for picture, png in zip(drawn(seed), encode(*drawn(seed)), strict=True):
        shown = Image.open(io.BytesIO(png))
        assert (shown.format, shown.mode, shown.info) == ("PNG", "RGB", {})
        assert shown.tobytes() == picture.tobytes()


RULES: dict[str, Callable[[bytes], object]] = {
    "the length of the file": len,
    "the length of the packed pixels": lambda png: dict(chunks(png))[b"IDAT"],
    "all chunks": chunks,
    "where the last byte that is not zero stands": lambda png: len(png[:-12].rstrip(b"\0")) // PAGE,
}


@pytest.mark.parametrize("rule", RULES)
def test_no_rule_about_sizes_tells_the_sides(rule: str) -> None:
    """It says the same of both, so whoever goes by it is right half of the time, as who tosses a coin."""
    told = [tuple(map(RULES[rule], encode(*drawn(seed)))) for seed in range(60)]
    assert [first == second for first, second in told] == [True] * 60
    packed = [tuple(len(gzip.compress(side.tobytes())) for side in drawn(seed)) for seed in range(60)]
    assert sum(rough > smooth for rough, smooth in packed) == 60  # these pictures differ: the rule would have worked
