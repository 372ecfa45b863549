"""Files that nobody should have sent: each is refused or handled, named and counted, in bounded memory."""

import contextlib
import io
import json
import resource
import struct
import tarfile
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from emu.data.fitting import fit
from emu.data.pictures import BadPicture, decode, read_size
from emu.data.sources import Entry, Fault, read_source
from emu.data.survey import Faults
from emu.errors import UserError, printable
from needles import draw, make_folder
from processes import ranks

LIMIT = 1_000_000


def read(root: Path) -> tuple[list[Entry], list[str]]:
    found = list(read_source(str(root), image_column="image", text_column="text"))
    return (
        [item for item in found if isinstance(item, Entry)],
        [item.message for item in found if isinstance(item, Fault)],
    )


def stored(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def picture(mode: str = "RGB", size: tuple[int, int] = (24, 16)) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(noise).convert(mode)


def bomb() -> bytes:
    """A PNG of a few bytes that claims 100,000 x 100,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a picture"),
        (b"<html>not found</html>", "not a picture"),
        (b"\x89PNG\r\n\x1a\n", "not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
        (stored(picture(), "ICNS"), "not a picture"),  # a picture, and none of the formats that are let in
        (bomb(), "more than 1,000,000 pixels"),
    ],
    ids=["empty", "html", "signature alone", "postscript", "another format", "bomb"],
)
def test_what_is_no_picture_is_refused_by_its_header(content: bytes, said: str) -> None:
    with pytest.raises(BadPicture, match=said):
        read_size(lambda: io.BytesIO(content), max_pixels=LIMIT)


@pytest.mark.parametrize(
    "content",
    [
        stored(picture(), "GIF", save_all=True, append_images=[picture()] * 3),
        stored(picture(), "WEBP", save_all=True, append_images=[picture()] * 3),
        stored(picture(), "PNG", save_all=True, append_images=[picture()] * 3),
        stored(picture("L").convert("I;16"), "PNG"),
        stored(picture("P"), "PNG"),
        stored(picture("CMYK"), "JPEG"),
        stored(picture("1"), "TIFF"),
        stored(picture("LAB"), "TIFF"),
    ],
    ids=["gif", "animated webp", "animated png", "16 bit", "palette", "cmyk", "bits", "lab"],
)
def test_odd_pictures_are_pictures(content: bytes) -> None:
    image = decode(lambda: io.BytesIO(content), max_pixels=LIMIT)
    assert (image.mode, image.size) == ("RGB", (24, 16))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    kind=st.sampled_from(["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP"]),
    mode=st.sampled_from(["RGB", "L", "P", "RGBA"]),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6),
    cut=st.floats(0.3, 1),
)
def test_whatever_the_bytes_it_is_a_picture_or_a_bad_one(
    kind: str, mode: str, changes: list[tuple[float, int]], cut: float
) -> None:
    plain = (kind == "JPEG" and mode in ("P", "RGBA")) or (kind == "BMP" and mode == "RGBA")
    content = bytearray(stored(picture("RGB" if plain else mode), kind))
    for at, value in changes:
        content[int(at * (len(content) - 1))] = value
    content = content[: int(cut * len(content))]
    with contextlib.suppress(BadPicture):
        fit(decode(lambda: io.BytesIO(bytes(content)), max_pixels=LIMIT), (16, 16))


MODES = ["RGB", "RGBA", "I;16", "P", "CMYK"]


def prepare(content: bytes, most: int) -> None:
    """Decode and fit in a process of its own, whose memory may grow by `most` bytes."""
    small = stored(picture(), "PNG")
    fit(decode(lambda: io.BytesIO(small), max_pixels=LIMIT), (64, 64))  # what is loaded once is loaded
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fit(decode(lambda: io.BytesIO(content), max_pixels=30_000_000), (64, 64))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < most, f"{grown:,} of {most:,} bytes"


@pytest.mark.parametrize(
    ("mode", "size"),
    [
        *((mode, (50_000, 400)) for mode in MODES),
        ("RGBA", (5000, 4000)),
        *(pytest.param(mode, (400, 50_000), marks=pytest.mark.slow) for mode in MODES),
        *(pytest.param(mode, (5000, 4000), marks=pytest.mark.slow) for mode in MODES if mode != "RGBA"),
    ],
)
def test_a_picture_costs_at_most_four_times_its_decoded_size(tmp_path: Path, mode: str, size: tuple[int, int]) -> None:
    content = stored(Image.new(mode, size), "TIFF" if mode == "CMYK" else "PNG")
    most = 4 * 4 * size[0] * size[1]  # decoded, a pixel takes four bytes in Pillow
    assert ranks(1, prepare, content, most, log=tmp_path / "log") == [0], (tmp_path / "log.0").read_text()


def test_only_what_stays_of_a_picture_is_scaled_and_it_is_the_same() -> None:
    image = picture(size=(90, 31))
    for bucket in ((16, 16), (40, 24), (24, 56), (62, 62)):
        height, width = bucket
        scale = max(height / 31, width / 90)
        whole = max(height, round(31 * scale)), max(width, round(90 * scale))
        top, left = (whole[0] - height) // 2, (whole[1] - width) // 2
        scaled = image.resize((whole[1], whole[0]), Image.Resampling.LANCZOS)
        wanted = np.asarray(scaled.crop((left, top, left + width, top + height))).astype(int)
        found = ((fit(image, bucket) + 1) * 127.5).round().permute(1, 2, 0).numpy().astype(int)
        assert np.abs(found - wanted).max() <= 1


def tar_of(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def test_tar_members_that_are_more_than_files(tmp_path: Path) -> None:
    png = stored(picture(), "PNG")
    tar_of(
        tmp_path / "set.tar",
        (member("../../up.png"), png),
        (member("../../up.txt"), b"up"),
        (member("/root.png"), png),
        (member("/root.txt"), b"root"),
        (member("link.png", tarfile.SYMTYPE, "/etc/passwd"), b""),
        (member("hard.png", tarfile.LNKTYPE, "/etc/passwd"), b""),
        (member("pipe.png", tarfile.FIFOTYPE), b""),
        (member("twice.png"), png),
        (member("twice.png"), png),
        (member("twice.txt"), b"twice"),
        (member("long.png"), png),
        (member("long.txt"), b"x" * 1_000_001),
        (member("code.pyd"), b"raise SystemExit"),
    )
    entries, faults = read(tmp_path / "set.tar")
    assert [entry.text for entry in entries] == ["up", "root", "twice"]
    assert [path.name for path in tmp_path.iterdir()] == ["set.tar"]  # names are names: nothing is written by them
    assert [fault.split(": ", 1)[1] for fault in faults] == [
        "a link or a device, not a file",
        "a link or a device, not a file",
        "a link or a device, not a file",
        "its name is there already",
        "its caption's file is longer than 1,000,000 bytes",
    ]


def test_links_out_of_the_folder(tmp_path: Path) -> None:
    root = make_folder(tmp_path, [(4, 4)] * 3)
    draw(tmp_path / "elsewhere.png", (4, 4))
    (root / "1.png").unlink()
    (root / "1.png").symlink_to(tmp_path / "elsewhere.png")
    (root / "2.png").unlink()
    (root / "2.png").symlink_to(root / "0.png")
    entries, faults = read(root)
    assert [entry.name for entry in entries] == ["0.png", "2.png"]
    assert len(faults) == 1
    assert "1.png is a link out of the folder" in faults[0]
    (tmp_path / "by-another-name").symlink_to(root)
    assert len(read(tmp_path / "by-another-name")[0]) == 2


def test_a_line_of_a_hundred_megabytes_costs_one_row_and_little_memory(tmp_path: Path) -> None:
    root = make_folder(tmp_path, [(4, 4)] * 2)
    first, second = (root / "metadata.jsonl").read_bytes().splitlines()
    with (root / "metadata.jsonl").open("wb") as file:
        file.write(first + b'\n{"file_name": "0.png", "text": "')
        for _ in range(100):
            file.write(b"x" * 1_000_000)
        file.write(b'"}\n' + second)
    tracemalloc.start()
    entries, faults = read(root)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [entry.name for entry in entries] == ["0.png", "1.png"]
    assert faults == ["metadata.jsonl line 2: longer than 1,000,000 bytes"]
    assert peak < 8_000_000


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"file_name": "0.png", "text": "x" * 20_001}, "its caption has 20,001 characters"),
        ({"file_name": "0.png", "text": "\ud800"}, "its caption is not valid Unicode"),
        ({"file_name": "0.png\0", "text": "a"}, "no such file"),
        ({"file_name": "n" * 5000, "text": "a"}, "no such file"),
        ({"file_name": "new\nline.png", "text": "a"}, "no such file"),
    ],
    ids=["long caption", "half a character", "a zero byte", "a long name", "a new line"],
)
def test_rows_that_cannot_be_stored(tmp_path: Path, row: dict[str, str], said: str) -> None:
    root = make_folder(tmp_path, [(4, 4)])
    (root / "metadata.jsonl").write_text(json.dumps(row))
    entries, faults = read(root)
    assert entries == []
    assert len(faults) == 1
    assert said in faults[0]


def test_what_a_terminal_would_obey_is_spelled_out() -> None:
    assert printable("a\x1b[2Jb\u202ec\nd\te") == "a\\x1b[2Jb\\u202ec d e"
    faults = Faults("root", limit=1)
    assert (
        faults.add(["\x1b]0;title\x07.png: bad"])
        == "data.root root: skipped, within data.max_bad 1: \\x1b]0;title\\x07.png: bad"
    )


@pytest.mark.parametrize("root", ["pipe:touch marker", "http://127.0.0.1/set.tar", "file:///etc", "hf://models/a/b"])
def test_a_root_that_is_no_path(root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="an address; download it" if "://" in root else "no such folder or file"):
        read_source(root, image_column="image", text_column="text")
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=2000))
def test_any_bytes_as_metadata_are_rows_or_faults(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "metadata.jsonl").write_bytes(content)
    with contextlib.suppress(UserError):  # of a name that leads out of the folder
        read(tmp_path)
