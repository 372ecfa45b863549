"""A haystack whose truth is known, drawn by the simulated web, for `benchmarks/curate.py truth`.

Each picture has or lacks the five qualities, and a third of them get one fault of a kind that a stage is there for. The
truth travels in columns that no stage reads.
"""

import io
import json
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from emu.storage.files import write
from emu.world import PLACES, TIMES, Scene, World

SIDE = 128
SEED = 7  # the judges learned from World(2), and limits were chosen while looking at World(5)
FAULTY = 1 / 3

# kind of fault -> the stage that is there for it
STAGES: dict[str, str] = {
    "truncated": "readable", "no picture": "readable", "animated": "readable",
    "tiny": "shape", "banner": "shape",
    "junk caption": "caption", "foreign caption": "caption",
    "frame": "borders",
    "noise": "technical", "compression": "technical", "blur": "technical", "too dark": "technical",
    "same file": "duplicates", "recompressed": "duplicates", "resized": "duplicates",
    "wrong caption": "alignment",
}  # fmt: skip


def stored(image: Image.Image, *, quality: int = 92, kind: str = "JPEG", **more: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **({"quality": quality} if kind == "JPEG" else {}), **more)
    return stream.getvalue()


def said(kind: str, caption: str, rng: np.random.Generator, before: Scene) -> str:
    """What stands beside a picture with a fault; `before` is the scene that copies are of."""
    match kind:
        case "junk caption":
            return str(rng.choice(["IMG_2041.jpg", "www.example.org", "buy buy buy now now", "red"]))
        case "foreign caption":
            return "\u043a\u0440\u0430\u0441\u043d\u0430\u044f \u043b\u0438\u0441\u0430"
        case "wrong caption":
            place, when = rng.choice(list(PLACES.values())), rng.choice(list(TIMES.values()))
            return f"a purple boat {place} {when}"
        case "same file" | "recompressed" | "resized":
            return before.caption
        case _:
            return caption


def spoilt(kind: str, scene: Scene, rng: np.random.Generator, before: Scene) -> bytes:
    """A picture with one fault."""
    image = (before if STAGES[kind] == "duplicates" else scene).render(SIDE)
    whole = stored(image)
    match kind:
        case "truncated":
            return whole[: int(len(whole) * rng.uniform(0.2, 0.9))]
        case "no picture":
            return b"<html><body>410 Gone</body></html>"
        case "animated":
            return stored(image, kind="GIF", save_all=True, append_images=[image.rotate(9)])
        case "tiny":
            return stored(image.resize((64, 64)))
        case "banner":
            return stored(image.resize((320, 128)))
        case "frame":
            framed = Image.new("RGB", image.size, tuple(int(v) for v in rng.choice([0, 255, 40], 3)))
            framed.paste(image.resize((SIDE, SIDE - 32)), (0, 16))
            return stored(framed)
        case "noise":
            grain = np.asarray(image, dtype=float) + rng.normal(0, rng.uniform(15, 30), (*image.size[::-1], 3))
            return stored(Image.fromarray(grain.clip(0, 255).astype(np.uint8)))
        case "compression":
            return stored(image, quality=int(rng.integers(3, 12)))
        case "blur":
            return stored(image.filter(ImageFilter.GaussianBlur(rng.uniform(3, 6))))
        case "too dark":
            return stored(image.point(lambda v: v // 24))
        case "recompressed":
            return stored(Image.open(io.BytesIO(whole)).convert("RGB"), quality=60)
        case "resized":
            return stored(Image.open(io.BytesIO(whole)).convert("RGB").resize((112, 112)))
        case _:  # the same file, or its caption is the fault
            return whole


def straw(folder: Path | None, i: int) -> str:
    """Draws picture `i`, unless it is there, into `folder`; its line of the metadata, where the truth stands too."""
    rng, scene = np.random.default_rng((SEED, i)), World(SEED).haystack(i)
    kind, before = "", i
    if is_faulty(i, rng):
        kind = str(rng.choice(list(STAGES)))
        before = next(j for j in range(i - 1, -1, -1) if not is_faulty(j, np.random.default_rng((SEED, j))))
    source = World(SEED).haystack(before)
    name, text = f"{i:07d}.jpg", said(kind, scene.caption, rng, source)
    if folder is not None and not (folder / name).exists():
        write(folder / name, spoilt(kind, scene, rng, source) if kind else stored(scene.render(SIDE)))
    row = {"file_name": name, "text": text, "kind": scene.kind, "fault": kind, "license": "CC0-1.0",
           "needle": all(scene.good) and not kind, "in_focus": scene.has("focus")}  # fmt: skip
    return json.dumps(row)


def is_faulty(i: int, rng: np.random.Generator) -> bool:
    return i > 0 and rng.random() < FAULTY


def haystack(folder: Path, number: int) -> Path:
    """A folder as `emu curate` takes it. Drawn once, by two processes; goes on where it was killed."""
    if not (folder / "metadata.jsonl").exists():
        folder.mkdir(parents=True, exist_ok=True)
        with ProcessPoolExecutor(2, mp_context=get_context("forkserver")) as pool:
            lines = list(pool.map(partial(straw, folder), range(number), chunksize=64))
        write(folder / "metadata.jsonl", ("\n".join(lines) + "\n").encode())
    return folder
