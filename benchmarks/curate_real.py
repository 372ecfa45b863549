"""The funnel held against real photographs with planted faults, their copies, and pictures that are no photographs.

    python benchmarks/curate_real.py --each 8            # so many photographs of each half for a fault and strength
    python benchmarks/curate_real.py --each 8 --config MY.yaml

Photographs and the rest install from Debian and PyPI (`real_pictures.py`); faults are in `real_faults.py`. Limits were
set on the photographs with even numbers and are reported on those with odd ones. Under --work: the haystack, the
curated folder, `report.md`, and a contact sheet each of good photographs lost, faults kept, and sixty of what was kept.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from curate_truth import share
from PIL import Image, ImageDraw
from real_faults import FAULTS, JUNK, opened
from real_pictures import Real, pictures

Rows = list[dict[str, Any]]
CAPTIONS = ["{0}", "a {0}", "a photograph of a {0} in the morning light"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=8, help="photographs of each half for a fault and strength")
    parser.add_argument("--config", default="curate/paper")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "emu-curate-real")
    given = parser.parse_args()
    source, out = given.work / f"hay-{given.each}", given.work / f"out-{given.each}"
    if not (source / "metadata.jsonl").exists():
        haystack(source, pictures(given.work / "packages"), given.each)
    command = [sys.executable, "-m", "emu", "curate", "-c", given.config, str(source), str(out)]
    subprocess.run(command, check=True)
    rows = told(out / "manifest.parquet")
    report = "\n".join(tables(rows))
    (given.work / "report.md").write_text(report + "\n")
    print(report)
    sheets(given.work, source, rows)


def haystack(folder: Path, found: list[Real], each: int) -> None:
    """A folder as `emu curate` takes it. The truth travels in columns that no stage reads."""
    folder.mkdir(parents=True, exist_ok=True)
    photographs = [one for one in found if one.kind == "photograph"]
    lines = [written(folder, i, one) for i, one in enumerate(found)]
    foreign = foreign_captions(found)
    turn = 0
    for kind, fault in FAULTS.items():
        for strength in range(len(fault.strengths)):
            for half in (0, 1):
                mine = [i for i in range(len(photographs)) if i % 2 == half]
                for place in range(each):
                    i = mine[(turn + place) % len(mine)]
                    lines.append(spoilt(folder, i, photographs[i], kind, strength, foreign))
            turn += each
    np.random.default_rng(0).shuffle(lines)
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n")


def written(folder: Path, i: int, one: Real) -> str:
    """A picture as it is: JPEG, PNG and WebP byte by byte."""
    name = f"{i:04d}{one.path.suffix.lower()}"
    (folder / name).write_bytes(one.path.read_bytes())
    return json.dumps({"file_name": name, "text": caption(i, one), "subject": i, "kind": one.kind, "fault": ""})


def spoilt(folder: Path, i: int, one: Real, kind: str, strength: int, foreign: list[str]) -> str:
    fault, rng = FAULTS[kind], np.random.default_rng((i, strength))
    name = f"{i:04d}-{kind.replace(' ', '-').replace(',', '')}-{strength}.jpg"
    (folder / name).write_bytes(fault.plant(opened(one.path), fault.strengths[strength], rng))
    text = {"junk caption": JUNK[strength].format(number=1000 + i), "foreign caption": foreign[i % len(foreign)]}
    row = {"file_name": name, "text": text.get(kind, caption(i, one)), "subject": i, "kind": one.kind, "fault": kind,
           "strength": strength}  # fmt: skip
    return json.dumps(row)


def caption(i: int, one: Real) -> str:
    """A third each: a name in capitals, two or three words, a sentence."""
    subject = one.subject if len(one.subject.split()) > 1 else f"wild {one.subject}"
    text = CAPTIONS[i % 3].format(subject)
    return text.title() if i % 3 == 0 else text


def foreign_captions(found: list[Real]) -> list[str]:
    """Of the stamps, whose texts are translated: sentences of at least five words."""
    texts = []
    for stamp in (one for one in found if one.kind == "stamp"):
        for line in stamp.path.with_suffix(".txt").read_text(errors="replace").splitlines():
            language, _, text = line.partition(".utf8=")
            if language in ("de", "fr", "es", "it", "pt", "nl", "sv", "pl") and len(text.split()) >= 5:
                texts.append(text)
    return texts


def told(manifest: Path) -> Rows:
    columns = ["row", "source", "text", "status", "stage", "reason", "crop", "source_columns"]
    return [row | json.loads(row["source_columns"]) for row in pq.read_table(manifest, columns=columns).to_pylist()]


def tables(rows: Rows) -> Iterator[str]:
    for half, name in ((1, "photographs that limits were not set on"), (0, "photographs that limits were set on")):
        mine = [row for row in rows if row["kind"] != "photograph" or row["subject"] % 2 == half]
        yield f"\n## {name.capitalize()}\n"
        yield from whole([row for row in mine if row["kind"] == "photograph"])
        yield from faults(mine)
        yield from stages(mine)
    yield from kinds(rows)


def whole(rows: Rows) -> Iterator[str]:
    clean = [row for row in rows if not row["fault"]]
    lost = [row for row in clean if row["stage"] not in (None, "duplicates", "same scene")]
    copied = [row for row in clean if row["stage"] in ("duplicates", "same scene")]
    kept = [row for row in rows if row["status"] == "kept"]
    there = {row["subject"] for row in kept}
    gone = [row for row in clean if row["subject"] not in there]
    good = [row for row in kept if not row["fault"] or row["fault"].endswith("copy") or is_cut(row)]
    yield f"- good photographs wrongly rejected: {share(len(lost), len(clean))}, {len(lost)} of {len(clean)}"
    yield f"- good photographs that left for a copy: {len(copied)} of {len(clean)}: {', '.join(winners(rows, copied))}"
    yield f"- subjects with no version left: {len(gone)} of {len(clean)}"
    yield f"- of what is kept of photographs, without a planted fault: {share(len(good), len(kept))}"


def winners(rows: Rows, copied: Rows) -> Iterator[str]:
    """What was done to the copy that stays in the place of each."""
    of = {row["row"]: row for row in rows}
    for row in copied:
        found = re.search(r"row (\d+)", row["reason"])
        copy = of.get(int(found[1])) if found else None
        yield f"{copy['fault']} {copy['strength']}" if copy and copy["fault"] else row["reason"]


def is_cut(row: dict[str, Any]) -> bool:
    """Whether a frame is gone from what is kept."""
    return row["fault"] == "frame" and row["crop"] is not None


def faults(rows: Rows) -> Iterator[str]:
    yield "\n| fault | its stage | weak | middle | strong | all |\n|---|---|---|---|---|---|"
    for kind, fault in FAULTS.items():
        mine = [row for row in rows if row["fault"] == kind]
        gone = [
            [row["status"] != "kept" or is_cut(row) for row in mine if row["strength"] == strength]
            for strength in range(3)
        ]
        each = " | ".join(f"{sum(one)} of {len(one)} ({at:g})" for one, at in zip(gone, fault.strengths, strict=True))
        yield f"| {kind} | {fault.stage} | {each} | {share(sum(map(sum, gone)), sum(map(len, gone)))} |"


def stages(rows: Rows) -> Iterator[str]:
    """Of what leaves at a stage, how much should: a fault, a copy, or no photograph."""
    yield "\n| stage | left | of these rightly | good photographs lost |\n|---|---|---|---|"
    for stage in dict.fromkeys(row["stage"] for row in rows if row["stage"]):
        left = [row for row in rows if row["stage"] == stage]
        wrong = [row for row in left if row["kind"] == "photograph" and not row["fault"]]
        named = "; ".join(f"{row['text']}: {row['reason']}" for row in wrong)
        yield f"| {stage} | {len(left)} | {share(len(left) - len(wrong), len(left))} | {named} |"


def kinds(rows: Rows) -> Iterator[str]:
    yield "\n## What is no photograph\n\n| kind | pictures | kept |\n|---|---|---|"
    for kind in dict.fromkeys(row["kind"] for row in rows if row["kind"] != "photograph"):
        mine = [row for row in rows if row["kind"] == kind]
        yield f"| {kind} | {len(mine)} | {sum(row['status'] == 'kept' for row in mine)} |"


def sheets(work: Path, source: Path, rows: Rows) -> None:
    photographs = [row for row in rows if row["kind"] == "photograph"]
    kept = [row for row in rows if row["status"] == "kept"]
    sheet(work / "lost.png", source, [row for row in photographs if not row["fault"] and row["status"] != "kept"])
    sheet(work / "passed.png", source, [row for row in kept if row["fault"] and not row["fault"].endswith("copy")])
    sheet(work / "kept.png", source, kept[:: max(1, len(kept) // 60)][:60])


def sheet(path: Path, source: Path, rows: Rows, *, side: int = 160, across: int = 10) -> None:
    """Small pictures, each with what is said of it below."""
    whole = Image.new("RGB", (across * side, -(-max(len(rows), 1) // across) * (side + 26)), "white")
    draw = ImageDraw.Draw(whole)
    for number, row in enumerate(rows):
        left, top = number % across * side, number // across * (side + 26)
        small = opened(source / row["source"])
        small.thumbnail((side - 4, side - 4))
        whole.paste(small, (left + 2, top))
        about = f"{row['fault']} {row.get('strength', '')}".strip() or row["kind"]
        for line, text in enumerate((about, row["reason"] or row["text"])):
            draw.text((left + 2, top + side - 2 + 12 * line), text[:26], "black")
    whole.save(path)


if __name__ == "__main__":
    main()
