"""Pictures for `benchmarks/curate.py speed`: JPEGs of 480 x 360 to 1024 x 768, one in a hundred broken in five ways."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw


def stored(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=85)
    return stream.getvalue()


def photographs(folder: Path, number: int, photos: Path | None) -> Path:
    """A folder as `emu curate` takes it: pieces of the photographs in `photos`, or smooth noise without them."""
    if (folder / "metadata.jsonl").exists():
        return folder
    folder.mkdir(parents=True)
    whole = [Image.open(path).convert("RGB") for path in sorted(photos.glob("*.jpg"))] if photos else []
    lines = []
    for i in range(number):
        rng = np.random.default_rng(i)
        width = int(rng.choice([480, 640, 800, 1024]))
        size = (width, width * 3 // 4)
        content = stored(piece(whole[i % len(whole)], size, rng) if whole else smooth(size, rng))
        half = content[: len(content) // 2]
        broken = [half, b"", rng.bytes(900), b"<html>", None][i // 100 % 5] if i % 100 == 50 else content
        if broken is not None:
            (folder / f"{i:07d}.jpg").write_bytes(broken)
        lines.append(json.dumps({"file_name": f"{i:07d}.jpg", "text": f"picture number {i}"}) + "\n")
    (folder / "metadata.jsonl").write_text("".join(lines))
    return folder


def large(folder: Path, number: int, photos: Path) -> Path:
    """The photographs as they are, again and again."""
    if not (folder / "metadata.jsonl").exists():
        folder.mkdir(parents=True)
        found, lines = sorted(photos.glob("*.jpg")), []
        for i in range(number):
            shutil.copy(found[i % len(found)], folder / f"{i:07d}.jpg")
            lines.append(json.dumps({"file_name": f"{i:07d}.jpg", "text": f"picture number {i}"}) + "\n")
        (folder / "metadata.jsonl").write_text("".join(lines))
    return folder


def piece(photo: Image.Image, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """A random piece of a photograph, up to three times as large as wanted, scaled down."""
    times = min(rng.uniform(1, 3), photo.width / size[0], photo.height / size[1])
    across, down = int(size[0] * times), int(size[1] * times)
    left, top = int(rng.integers(0, photo.width - across + 1)), int(rng.integers(0, photo.height - down + 1))
    return photo.resize(size, Image.Resampling.LANCZOS, box=(left, top, left + across, top + down))


def smooth(size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    first, second, third = (
        Image.fromarray(rng.integers(0, 256, (n, n, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
        for n in (5, 30, 120)
    )
    image = Image.blend(Image.blend(first, second, 0.35), third, 0.15)
    ImageDraw.Draw(image).ellipse((90, 90, 300, 290), fill=tuple(int(v) for v in rng.integers(0, 256, 3)))
    return image
