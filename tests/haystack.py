"""Haystacks for the funnel: real picture files, good ones and broken ones of every kind, and small configs."""

import io
import json
import os
import signal
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from emu.curate.engine import Engine
from emu.curate.shards import Shard
from emu.curate.stage import Row, Stage
from emu.curate.work import Work

BROKEN = ("truncated", "empty", "random", "html", "missing", "bomb", "large")
ODD = ("cmyk", "16 bit", "palette", "rotated", "transparent")

READABLE = {"class_path": "emu.curate.stages.Readable", "init_args": {"max_pixels": 1_000_000}}
SEEN = {"class_path": "haystack.Seen"}


class Here(Engine):
    """In this very process: models that a test has loaded are not loaded again."""

    def start(self, work: Work) -> None:
        self.work = work

    def map(self, shards: Iterable[Shard]) -> Iterator[int]:
        for shard in shards:
            self.work(shard, lambda _: None)
            yield len(shard.items)

    def stop(self) -> None:
        pass


class Seen(Stage):
    """Looks at all pixels: what cannot be decoded fails here."""

    name = "seen"
    side = 0
    columns = {"mean": "float64"}

    def measure(self, picture: Any) -> Row:
        return {"mean": float(np.asarray(picture.image).mean())}


class Together(Stage):
    """Tells with whom a picture was measured: the last bits of a model's scores would tell no more.

    Args:
        log: the names of what is held, and how large it is, go there.
        raises: of a picture whose name begins so; `kills`: dies of it.
    """

    side = 16

    def __init__(self, name: str = "together", batch: int = 3, log: str = "", raises: str = "-", kills: str = "-"):
        self.name, self.batch, self.log, self.raises, self.kills = name, batch, log, raises, kills
        self.columns = {f"{name} with": "string", f"{name} number": "float64"}

    def measure(self, picture: Any) -> Row:
        return self.measure_many([picture])[0]

    def measure_many(self, pictures: Any) -> list[Row]:
        names = [picture.name for picture in pictures]
        if any(name.startswith(self.kills) for name in names):
            with open(f"{self.log}.deaths", "a") as file:
                file.write(f"{json.dumps(names)}\n")
            os.kill(os.getpid(), signal.SIGKILL)
        if any(name.startswith(self.raises) for name in names):
            raise ZeroDivisionError("of one of them")
        if self.log:
            with open(self.log, "a") as file:
                file.write(json.dumps([picture.image.size for picture in pictures]) + "\n")
        means = [float(np.asarray(picture.small(self.side)).mean()) for picture in pictures]
        return [
            {f"{self.name} with": " ".join(names), f"{self.name} number": mean % 1 + len(names) / 10} for mean in means
        ]


def config(*stages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"stages": [READABLE, *stages], **more}


def pixels(seed: int, size: tuple[int, int] = (48, 40)) -> Image.Image:
    """A smooth picture of (width, height) that differs from every other seed's."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def stored(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def bomb() -> bytes:
    """A PNG of few bytes that claims 30,000 x 30,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


def content(kind: str, seed: int) -> bytes:
    """A file of a kind: "good", or one of BROKEN or ODD; "missing" is to be no file."""
    match kind:
        case "truncated":
            whole = stored(pixels(seed))
            return whole[: len(whole) * 2 // 3]
        case "empty" | "missing":
            return b""
        case "random":
            return np.random.default_rng(seed).bytes(500)
        case "html":
            return b"<html>404</html>"
        case "bomb":
            return bomb()
        case "large":
            return stored(Image.new("L", (1100, 1000)), "PNG")
        case "cmyk":
            return stored(pixels(seed).convert("CMYK"))
        case "16 bit":
            return stored(Image.fromarray(np.asarray(pixels(seed).convert("L")).astype(np.uint16) * 257), "PNG")
        case "palette":
            return stored(pixels(seed).convert("P"), "PNG")
        case "rotated":
            exif = Image.Exif()
            exif[0x0112] = 6
            return stored(pixels(seed), exif=exif)
        case "transparent":
            return stored(pixels(seed).convert("RGBA"), "PNG")
        case _:
            return stored(pixels(seed))


def folder(root: Path, kinds: Iterable[str], **columns: Any) -> Path:
    """A folder with a picture of each kind, `KIND-17.jpg`, and its metadata.jsonl."""
    root.mkdir(parents=True)
    lines = []
    for i, kind in enumerate(kinds):
        name = f"{kind}-{i}.jpg"
        if kind != "missing":
            (root / name).write_bytes(content(kind, i))
        lines.append(json.dumps({"file_name": name, "text": f"a picture number {i}", "license": "CC0", **columns}))
    (root / "metadata.jsonl").write_text("\n".join(lines) + "\n")
    return root
