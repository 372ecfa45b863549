"""The funnel held against a haystack whose truth is known; and its speed, and its memory, and what kills do to it.

    python benchmarks/curate.py truth --pictures 20000     # precision and recall of every stage
    python benchmarks/curate.py speed --pictures 4000      # pictures a CPU second, memory
    python benchmarks/curate.py kills --kills 50           # SIGKILL at random moments; --engine ray: on a cluster

The haystack is drawn by the simulated web: each picture has or lacks the five qualities, and a third of them get one
fault of a kind that a stage is there for. The truth travels in a column that no stage reads.
"""

import argparse
import contextlib
import io
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import yaml
from PIL import Image, ImageDraw, ImageFilter

from emu.curate.config import SHARD
from emu.curate.shards import cut
from emu.curate.sources import read_pictures
from emu.curate.work import Work
from emu.world import PLACES, TIMES, World

SIDE = 128
SEED = 7  # the judges learned from World(2), and limits were chosen while looking at World(5)
FAULTY = 1 / 3

# kind of fault -> the stage that is there for it
STAGES = {
    "truncated": "readable", "no picture": "readable", "animated": "readable",
    "tiny": "shape", "banner": "shape",
    "junk caption": "caption", "foreign caption": "caption",
    "frame": "borders",
    "noise": "technical", "compression": "technical", "blur": "technical", "too dark": "technical",
    "same file": "duplicates", "recompressed": "duplicates", "resized": "duplicates",
    "wrong caption": "alignment",
}  # fmt: skip

Drawn = tuple[bytes, str]


def stored(image: Image.Image, *, quality: int = 92, kind: str = "JPEG", **more: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **({"quality": quality} if kind == "JPEG" else {}), **more)
    return stream.getvalue()


def spoilt(kind: str, image: Image.Image, caption: str, rng: np.random.Generator, before: Drawn) -> Drawn:
    """A picture and its caption with one fault; `before` is another picture, for copies."""
    whole = stored(image)
    match kind:
        case "truncated":
            return whole[: int(len(whole) * rng.uniform(0.2, 0.9))], caption
        case "no picture":
            return b"<html><body>410 Gone</body></html>", caption
        case "animated":
            return stored(image, kind="GIF", save_all=True, append_images=[image.rotate(9)]), caption
        case "tiny":
            return stored(image.resize((64, 64))), caption
        case "banner":
            return stored(image.resize((320, 128))), caption
        case "junk caption":
            return whole, str(rng.choice(["IMG_2041.jpg", "www.example.org", "buy buy buy now now", "red"]))
        case "foreign caption":
            return whole, "\u043a\u0440\u0430\u0441\u043d\u0430\u044f \u043b\u0438\u0441\u0430"
        case "frame":
            framed = Image.new("RGB", image.size, tuple(int(v) for v in rng.choice([0, 255, 40], 3)))
            framed.paste(image.resize((SIDE, SIDE - 32)), (0, 16))
            return stored(framed), caption
        case "noise":
            grain = np.asarray(image, dtype=float) + rng.normal(0, rng.uniform(15, 30), (*image.size[::-1], 3))
            return stored(Image.fromarray(grain.clip(0, 255).astype(np.uint8))), caption
        case "compression":
            return stored(image, quality=int(rng.integers(3, 12))), caption
        case "blur":
            return stored(image.filter(ImageFilter.GaussianBlur(rng.uniform(3, 6)))), caption
        case "too dark":
            return stored(image.point(lambda v: v // 24)), caption
        case "same file":
            return before
        case "recompressed":
            return stored(Image.open(io.BytesIO(before[0])).convert("RGB"), quality=60), before[1]
        case "resized":
            return stored(Image.open(io.BytesIO(before[0])).convert("RGB").resize((112, 112))), before[1]
        case "wrong caption":
            place, when = rng.choice(list(PLACES.values())), rng.choice(list(TIMES.values()))
            return whole, f"a purple boat {place} {when}"
        case _:
            raise AssertionError(kind)


def haystack(folder: Path, number: int) -> Path:
    """A folder as `emu curate` takes it; `fault` and `needle` are the truth. Drawn once."""
    if (folder / "metadata.jsonl").exists():
        return folder
    folder.mkdir(parents=True)
    world, lines, before = World(SEED), [], None
    for i in range(number):
        rng, scene = np.random.default_rng((SEED, i)), world.haystack(i)
        image, kind = scene.render(SIDE), ""
        drawn = stored(image), scene.caption
        if before is not None and rng.random() < FAULTY:
            kind = str(rng.choice(list(STAGES)))
            drawn = spoilt(kind, image, scene.caption, rng, before)
        else:
            before = drawn
        (folder / f"{i:07d}.jpg").write_bytes(drawn[0])
        needle = all(scene.good) and not kind
        row = {"file_name": f"{i:07d}.jpg", "text": drawn[1], "kind": scene.kind, "fault": kind, "needle": needle,
               "in_focus": scene.has("focus"), "license": "CC0-1.0"}  # fmt: skip
        lines.append(json.dumps(row) + "\n")
    (folder / "metadata.jsonl").write_text("".join(lines))
    return folder


def emu(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "emu", "curate", *arguments], check=True, stderr=subprocess.DEVNULL)


def truth(given: argparse.Namespace) -> None:
    source, out = haystack(given.work / f"hay-{given.pictures}", given.pictures), given.work / "truth"
    emu("-c", "curate/world", str(source), str(out))
    rows = pq.read_table(out / "manifest.parquet").to_pylist()
    for row in rows:
        row |= json.loads(row["source_columns"])
    print("| fault | stage | pictures | left there | left anywhere |\n|---|---|---|---|---|")
    for kind, stage in STAGES.items():
        of_it = [row for row in rows if row["fault"] == kind]
        there, gone = sum(row["stage"] == stage for row in of_it), sum(row["stage"] is not None for row in of_it)
        print(f"| {kind} | {stage} | {len(of_it):,} | {there / len(of_it):.3f} | {gone / len(of_it):.3f} |")
    print("\n| stage | left | of them faulty | recall of its faults | needles lost |\n|---|---|---|---|---|")
    for stage in dict.fromkeys(STAGES.values()):
        mine = [row for row in rows if row["fault"] and STAGES[row["fault"]] == stage]
        left = [row for row in rows if row["stage"] == stage]
        # To be out of focus is no fault that was put in, but one of the five qualities, and this stage is there for it.
        right = sum(row["fault"] != "" or (stage == "technical" and not row["in_focus"]) for row in left)
        found = sum(row["stage"] is not None for row in mine)
        lost = sum(row["needle"] for row in left)
        print(f"| {stage} | {len(left):,} | {right / max(len(left), 1):.3f} | {found / len(mine):.3f} | {lost} |")
    needles(rows)


def needles(rows: list[dict[str, Any]]) -> None:
    """Of the needles, how many come through; of what comes through, how much is needles, before and after people."""
    rng = np.random.default_rng(0)
    total = sum(row["needle"] for row in rows)
    kept = [row for row in rows if row["status"] == "kept"]

    def line(name: str, some: list[dict[str, Any]]) -> None:
        found = sum(row["needle"] for row in some)
        print(f"| {name} | {len(some):,} | {found / total:.3f} | {found / max(len(some), 1):.3f} |")

    def people(some: list[dict[str, Any]], raters: int) -> list[dict[str, Any]]:
        """Each of `raters` errs once in ten; the majority decides."""
        right = (rng.random((len(some), raters)) > 0.1).sum(1) > raters / 2
        return [row for row, true in zip(some, right, strict=True) if row["needle"] == bool(true)]

    print("\n| set | pictures | recall of needles | share of needles |\n|---|---|---|---|")
    line("the haystack", rows)
    line("after the funnel, what people look at", kept)
    first = people(kept, 1)
    line("after one person who errs once in ten", first)
    line("after a second one", people(first, 1))


def photographs(folder: Path, number: int) -> Path:
    """JPEGs of 480 x 360 to 1024 x 768, one in a hundred broken in five ways, as large as they are on the web."""
    if (folder / "metadata.jsonl").exists():
        return folder
    folder.mkdir(parents=True)
    lines = []
    for i in range(number):
        rng = np.random.default_rng(i)
        width = int(rng.choice([480, 640, 800, 1024]))
        size = (width, width * 3 // 4)
        layers = [
            Image.fromarray(rng.integers(0, 256, (n, n, 3), dtype=np.uint8)).resize(size, 3) for n in (5, 30, 120)
        ]
        image = Image.blend(Image.blend(layers[0], layers[1], 0.35), layers[2], 0.15)
        ImageDraw.Draw(image).ellipse((90, 90, 300, 290), fill=tuple(int(v) for v in rng.integers(0, 256, 3)))
        content = stored(image, quality=85)
        broken = (
            [content[: len(content) // 2], b"", rng.bytes(900), b"<html>", None][i // 100 % 5]
            if i % 100 == 50
            else content
        )
        if broken is not None:
            (folder / f"{i:07d}.jpg").write_bytes(broken)
        lines.append(json.dumps({"file_name": f"{i:07d}.jpg", "text": f"picture number {i}"}) + "\n")
    (folder / "metadata.jsonl").write_text("".join(lines))
    return folder


CHEAP = """
stages:
  - {class_path: emu.curate.stages.Readable}
  - {class_path: emu.curate.stages.Shape, at_least: {short_side: 300}}
  - {class_path: emu.curate.stages.Technical, at_most: {noise: 60}}
  - {class_path: emu.curate.stages.Duplicates, init_args: {distance: 4}}
  - {class_path: emu.curate.stages.Best, init_args: {number: 100, by: {colour: 1}}}
"""


def speed(given: argparse.Namespace) -> None:
    """One worker's CPU seconds for whole shards, written to the ledger, and its memory."""
    source = photographs(given.work / f"photographs-{given.pictures}", given.pictures)
    document = yaml.safe_load(CHEAP)
    with tempfile.TemporaryDirectory() as out:
        work = Work(document, Path(out))
        shards = list(cut(read_pictures(str(source), image_column="image", text_column="text"), size=SHARD))
        work(shards[0], lambda _: None)  # what is imported once is imported
        began = time.process_time()
        for shard in shards[1:]:
            work(shard, lambda _: None)
        seconds = time.process_time() - began
    pictures = sum(len(shard.items) for shard in shards[1:])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"one worker: {pictures / seconds:.0f} pictures a CPU second, {peak:.0f} MB at most ({pictures:,} pictures)")


def kills(given: argparse.Namespace) -> None:
    sys.path[:0] = [str(Path(__file__).parents[1] / "tests"), str(Path(__file__).parents[1] / "tests" / "curate")]
    from test_kill import Command, killed_again_and_again

    from ray_cluster import cluster

    with tempfile.TemporaryDirectory() as root, contextlib.ExitStack() as stack:
        how: dict[str, Any] = {"engine": given.engine}
        if given.engine == "ray":
            how["environment"], how["nodes"] = stack.enter_context(cluster(Path(root) / "cluster.log"))
        command = Command(Path(root), given.pictures, **how)
        drivers, workers = killed_again_and_again(command, kills=given.kills, seed=2)
    print(
        f"{given.engine}, {given.pictures:,} pictures: {drivers} kills of the command, {workers} of a worker of the "
        "cluster: every run ended with the bytes of an unbroken one"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["truth", "speed", "kills"])
    parser.add_argument("--pictures", type=int, default=4000)
    parser.add_argument("--engine", choices=["pool", "ray"], default="pool", help="of the command that is killed")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "emu-curate-benchmark")
    given = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} CPU cores, Python {platform.python_version()}")
    {"truth": truth, "speed": speed, "kills": kills}[given.what](given)


if __name__ == "__main__":
    main()
