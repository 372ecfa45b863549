"""Small needles: marked with the factor that they lack, or made larger beside what they were.

Nothing is lost: the originals stay where they are, new pictures lie in `upsampled/`, and a line of metadata.jsonl that
names a new one says in `upsampled_from` what it was made from and by what. A killed job goes on picture by picture.
"""

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from emu.curate import ledger
from emu.curate.folder import read_curated
from emu.curate.upsamplers import LARGEST, Upsampler
from emu.data.pictures import BadPicture, decode, read_size
from emu.data.sources.openers import File
from emu.errors import UserError
from emu.layouts.curated_folder import METADATA, UPSAMPLED, UPSAMPLED_FROM, original
from emu.storage import files, locks
from emu.storage.shapes import Row
from emu.terminal.aligned import aligned
from emu.terminal.bars import Bar

MADE = "emu"  # the text of a PNG by which it is known what it was made from
LEAST, MOST = 16, 8192  # pixels
MAX_PIXELS = 100_000_000


@dataclass(frozen=True)
class Small:
    """How many pictures of a concept are smaller than asked for."""

    concept: str
    pictures: int
    small: int
    made: int
    unread: int


def upsample(folder: Path, size: int, by: Upsampler | None = None) -> list[Small]:
    """Write `upsample` into every line of metadata.jsonl: by what factor its picture's shorter side is under `size`.

    With an upsampler, every picture whose original is under `size` is made that large first; then its line names the
    new file. What comes out does not depend on earlier calls. Returns a line a concept. UserError: no curated folder, a
    size that makes no sense, a full disk.
    """
    if not LEAST <= size <= MOST:
        raise UserError(f"--upsample {size}: give the shorter side in pixels, from {LEAST} to {MOST:,}")
    read_curated(folder)  # before anything is written there
    with locks.alone(folder, "emu curate", name=ledger.LOCK):
        curated = read_curated(folder)
        concepts = list(curated.concepts().values())
        watched = Bar(curated.rows, desc="upsampling", unit=" pictures", disable=by is None)
        rows = [_upsampled(folder, row, size, by) if by else row for row in watched]
        marked = [{**row, "upsample": _factor(folder, row["file_name"], size)} for row in rows]
        ledger.write_durably(folder / METADATA, "".join(json.dumps(row) + "\n" for row in marked))
    return _counted(marked, concepts)


def table(counts: list[Small], size: int) -> str:
    """For a terminal."""
    rows = [["concept", "pictures", f"under {size}", "made larger", "unreadable"]]
    total = Small("all", *(sum(getattr(one, key) for one in counts) for key in ("pictures", "small", "made", "unread")))
    for one in [*counts, *([total] if len(counts) > 1 else [])]:
        rows.append([one.concept, *(f"{n:,}" for n in (one.pictures, one.small, one.made, one.unread))])
    return "\n".join(aligned(rows))


def _upsampled(folder: Path, row: Row, size: int, by: Upsampler) -> Row:
    """The line for a picture that is large enough: the original's where that is, or where it cannot be read."""
    source = original(row)
    row = {**{key: value for key, value in row.items() if key != UPSAMPLED_FROM}, "file_name": source}
    needed = _factor(folder, source, size)
    if needed is None or needed <= 1:
        return row
    content = (folder / source).read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    made = {**by.describe(), "file_name": source, "sha256": sha256, "seed": int(sha256[:8], 16) % LARGEST, "size": size}
    text = json.dumps(made, sort_keys=True)
    file = f"{UPSAMPLED}/{Path(source).stem}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.png"
    if _mark(folder / file) != text:
        try:
            image = decode(lambda: io.BytesIO(content), max_pixels=MAX_PIXELS)
        except BadPicture:
            return row
        large = by(image, str(row.get("text") or ""), short=size, seed=int(made["seed"]))
        with ledger.user_error(folder / file):
            files.write(folder / file, _png(large, text))
    made["made_sha256"] = files.sha256(folder / file)
    return {**row, "file_name": file, UPSAMPLED_FROM: made}


def _factor(folder: Path, file: str, size: int) -> float | None:
    """What the shorter side is to be multiplied by; 1 where it is long enough, None where it cannot be read."""
    try:
        short = min(read_size(File(folder / file), max_pixels=MAX_PIXELS))
    except BadPicture:
        return None
    return max(1.0, round(size / short, 4))


def _mark(path: Path) -> str | None:
    """What a picture of ours says that it was made from."""
    try:
        with Image.open(path, formats=("PNG",)) as image:
            return str(image.info.get(MADE))
    except OSError:
        return None


def _png(image: Image.Image, text: str) -> bytes:
    info, stream = PngInfo(), io.BytesIO()
    info.add_text(MADE, text)
    image.save(stream, "PNG", pnginfo=info)
    return stream.getvalue()


def _counted(rows: list[Row], concepts: list[str]) -> list[Small]:
    def line(concept: str) -> Small:
        of_it = [row for row, its in zip(rows, concepts, strict=True) if its == concept]
        small = sum((row["upsample"] or 1) > 1 for row in of_it)
        made = sum(isinstance(row.get(UPSAMPLED_FROM), dict) for row in of_it)
        return Small(concept, len(of_it), small, made, sum(row["upsample"] is None for row in of_it))

    return [line(concept) for concept in sorted(set(concepts))]
