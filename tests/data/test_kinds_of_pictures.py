"""Pictures of odd kinds give the values that other decoders give: depths, greys, transparency, profiles, gamma."""

import io
import struct
import sys
import zlib
from functools import partial
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms

from emu.data.pictures import BadPicture, decode, read_header, read_size

RAMP = np.linspace(0, 1, 256)[None].repeat(4, 0)  # (4,256), from black to white
LIMIT = 10_000_000


def seen(content: bytes) -> NDArray[np.int64]:
    return np.asarray(decode(partial(io.BytesIO, content), max_pixels=LIMIT)).astype(int)


def tiff(values: NDArray[Any], **how: Any) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, values, **how)
    return stream.getvalue()


def shown(content: bytes) -> NDArray[np.float64]:
    """A grey TIFF as tifffile reads it: 0 for black, 1 for white."""
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        page = file.pages[0]
        values, signed = page.asarray().astype(float), page.sampleformat == 2  # type: ignore[union-attr]
        values /= 2 ** (page.bitspersample - signed) - 1  # type: ignore[union-attr]
        return 1 - values if page.photometric == 0 else values  # type: ignore[union-attr]


def png(values: NDArray[Any], colour_type: int, depth: int, **chunks: bytes) -> bytes:
    def chunk(kind: str, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind.encode() + data + struct.pack(">I", zlib.crc32(kind.encode() + data))

    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2" if depth == 16 else np.uint8).tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    said = "".join(chunk(kind, data).decode("latin-1") for kind, data in chunks.items()).encode("latin-1")
    return b"\x89PNG\r\n\x1a\n" + chunk("IHDR", header) + said + chunk("IDAT", zlib.compress(rows)) + chunk("IEND", b"")


@pytest.mark.parametrize(
    ("kind", "most", "how"),
    [
        ("uint8", 255, {}),
        ("uint8", 255, {"photometric": "miniswhite"}),
        ("uint16", 65535, {}),
        ("uint16", 65535, {"photometric": "miniswhite"}),
        (">u2", 65535, {"byteorder": ">"}),
        ("int16", 32767, {}),
        ("uint32", 2**32 - 1, {}),
        ("int32", 2**31 - 1, {}),
    ],
)
def test_greys_of_every_depth_run_from_black_to_white(kind: str, most: int, how: dict[str, Any]) -> None:
    content = tiff((RAMP * most).astype(kind), **{"photometric": "minisblack", **how})
    np.testing.assert_allclose(seen(content)[..., 0], 255 * shown(content), atol=1)
    ends = (255, 0) if how.get("photometric") == "miniswhite" else (0, 255)
    np.testing.assert_allclose(seen(content)[0, :, 1], np.linspace(*ends, 256), atol=1)


def test_a_grey_of_12_bits_runs_from_black_to_white() -> None:
    """By hand, since tifffile packs 12 bits with another package only: two values in three bytes."""
    values = np.rint(RAMP * 4095).astype(np.uint16)
    first, second = values[:, ::2], values[:, 1::2]
    data = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], -1).astype(np.uint8).tobytes()
    height, width = values.shape
    # Width, height, bits, no compression, black is zero, where the data are, one sample, all rows in one strip, bytes.
    tags = {256: width, 257: height, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: len(data)}
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    content = (
        struct.pack("<2sHI", b"II", 42, 8 + len(data)) + data + struct.pack("<H", len(tags)) + directory + bytes(4)
    )
    np.testing.assert_allclose(seen(content)[0, :, 1], np.arange(256), atol=1)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("depth", [8, 16])
def test_colours_in_planes_are_read_or_refused(depth: int, compression: str | None) -> None:
    colours = np.stack([RAMP, 1 - RAMP, RAMP**2]) * (2**depth - 1)
    values = np.rint(colours).astype(f"uint{depth}")
    content = tiff(values, photometric="rgb", planarconfig="separate", compression=compression)
    if (depth, compression) == (16, None):
        with pytest.raises(BadPicture, match="16 bits in separate planes"):
            read_size(partial(io.BytesIO, content), max_pixels=LIMIT)
    else:
        np.testing.assert_allclose(seen(content), np.moveaxis(colours, 0, -1) / (2**depth - 1) * 255, atol=1)


@pytest.mark.parametrize("most", [255, 4095, 65535])
def test_a_portable_greymap_is_scaled_by_what_it_calls_white(most: int) -> None:
    values = (RAMP * most).astype(">u2" if most > 255 else np.uint8)
    np.testing.assert_allclose(seen(b"P5 256 4 %d\n" % most + values.tobytes())[0, :, 0], np.arange(256), atol=1)


def test_a_colour_that_stands_for_clear_is_laid_on_white_at_every_depth() -> None:
    for depth in (8, 16):
        values = np.rint(RAMP * (2**depth - 1)).astype(np.uint16)
        clear = int(values[0, 30])
        wanted = np.where(np.arange(256) == 30, 255, np.arange(256))
        np.testing.assert_array_equal(seen(png(values, 0, depth, tRNS=struct.pack(">H", clear)))[0, :, 0], wanted)
        colours = np.stack([values] * 3, -1)
        content = png(colours, 2, depth, tRNS=struct.pack(">HHH", clear, clear, clear))
        np.testing.assert_array_equal(seen(content)[0, :, 2], wanted)


@pytest.mark.parametrize("depth", [8, 16])
def test_grey_with_transparency_lies_on_white(depth: int) -> None:
    most = 2**depth - 1
    values = np.stack([RAMP * 0, RAMP * most], -1).astype(np.uint16)  # black, from clear to opaque
    np.testing.assert_allclose(seen(png(values, 4, depth))[0, :, 0], np.arange(255, -1, -1), atol=1)


def grey_profile(gamma: float) -> bytes:
    """An ICC profile of greys: white point, copyright and a curve of one number."""
    data = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 2) + b"g\0" + bytes(4 + 4 + 2 + 1 + 67),
        b"wtpt": b"XYZ " + bytes(4) + struct.pack(">iii", 63190, 65536, 54061),
        b"kTRC": b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2),
        b"cprt": b"text" + bytes(4) + b"none\0" + bytes(3),
    }
    table, body, at = struct.pack(">I", len(data)), b"", 128 + 4 + 12 * len(data)
    for name, content in data.items():
        content += bytes(-len(content) % 4)
        table += name + struct.pack(">II", at + len(body), len(content))
        body += content
    head = struct.pack(">I4sI4s4s4s", at + len(body), bytes(4), 0x02100000, b"mntr", b"GRAY", b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">iii", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + table + body


@pytest.mark.parametrize("mode", ["L", "LA", "1 bit"])
def test_a_profile_of_greys_holds_with_transparency_too(mode: str) -> None:
    ImageCms.ImageCmsProfile(io.BytesIO(grey_profile(1.0)))  # it is one
    image = Image.fromarray((RAMP * 255).round().astype(np.uint8)).convert("LA" if mode == "LA" else "L")
    if mode == "1 bit":
        image = image.convert("1")
    stream = io.BytesIO()
    image.save(stream, "PNG", icc_profile=grey_profile(1.0))
    found = seen(stream.getvalue())[0, :, 0]
    if mode == "1 bit":
        assert set(found) <= {0, 255}
    else:
        assert 183 <= found[128] <= 192  # half of the light is level 188 of sRGB


def test_gamma_is_heeded_unless_something_better_is_said() -> None:
    values = (RAMP * 255).round().astype(np.uint8)
    linear = struct.pack(">I", 100_000)
    for colour_type, content in ((0, values), (2, np.stack([values] * 3, -1))):
        assert 183 <= seen(png(content, colour_type, 8, gAMA=linear))[0, 128, 0] <= 190
        assert seen(png(content, colour_type, 8, gAMA=struct.pack(">I", 45_455)))[0, 128, 0] == 128
        assert seen(png(content, colour_type, 8, gAMA=linear, sRGB=b"\0"))[0, 128, 0] == 128
    assert 183 <= seen(png((RAMP * 65535).astype(np.uint16), 0, 16, gAMA=linear))[0, 128, 0] <= 190


def test_pages_and_previews_are_no_animation() -> None:
    frames = [Image.new("RGB", (32, 24), colour) for colour in ("red", "green", "blue")]
    animated = {}
    for kind in ("TIFF", "MPO", "GIF", "WEBP", "PNG"):
        stream = io.BytesIO()
        frames[0].save(stream, kind, save_all=True, append_images=frames[1:])
        header = read_header(partial(io.BytesIO, stream.getvalue()), max_pixels=LIMIT)
        animated[header.format] = header.animated
        assert abs(seen(stream.getvalue())[5, 5] - [255, 0, 0]).max() < 6
    assert animated == {"TIFF": False, "JPEG": False, "GIF": True, "WEBP": True, "PNG": True}


def heic() -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif")
    stream = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (64, 48), (200, 40, 10))).save(stream, quality=95)
    return stream.getvalue()


def test_a_phone_s_picture_is_read() -> None:
    content = heic()
    assert read_size(partial(io.BytesIO, content), max_pixels=LIMIT) == (48, 64)
    assert abs(seen(content)[20, 20] - [200, 40, 10]).max() < 8
    with pytest.raises(BadPicture, match="more than 100 pixels"):
        read_size(partial(io.BytesIO, content), max_pixels=100)
    with pytest.raises(BadPicture):
        seen(content[: len(content) // 2])


def test_a_phone_s_picture_is_named_where_it_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    content = heic()
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(BadPicture, match=r"HEIC; pip install 'emu-quality-tuning\[heic\]' to read it"):
        seen(content)
