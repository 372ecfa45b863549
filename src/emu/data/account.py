"""What a survey says in words: which shapes, which captions, what is enlarged, and what is not used."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from emu.data.survey import Picture, Survey, some
from emu.layouts.curated_folder import REVIEWING
from emu.terminal.counted import many

# A folder, or a table or tar, that is called as `datasets` calls splits.
SPLIT = re.compile(
    r"(?:^|/)(train|training|validation|valid|val|dev|test|testing|eval|evaluation)"
    r"(?:/|(?:[-._][^/]*)?\.(?:parquet|tar):)"
)


def table(pictures: Sequence[Picture], *, at_once: int) -> list[str]:
    """A line a bucket: height, width, how many pictures, and how many batches where all devices take `at_once`."""
    count = Counter(picture.bucket for picture in pictures)
    return [
        f"  {height:>5} x {width:<5} {_column(number, 'picture ', 'pictures', 9)} "
        + _column(-(-number // at_once), "batch", "batches", 7)
        for (height, width), number in sorted(count.items())
    ]


def _column(number: int, one: str, more: str, width: int) -> str:
    """`many` behind spaces that bring numbers to `width`."""
    return f"{' ' * (width - len(f'{number:,}'))}{many(number, one, more)}"


def remarks(used: Sequence[Picture], seen: Survey, *, lines: bool, root: str) -> list[str]:
    """A line each for what somebody would want to know before `used` is trained on; of all that was seen, the rest."""
    own = [_captions(used, lines=lines), _enlarged(used), _repeats(used), _splits(used, root)]
    said = [*own, _rest(len(used), seen), _reviewed(root)]
    return [f"  {line}" for line in said if line]


def _rest(used: int, seen: Survey) -> str:
    counts = {"not drawn": len(seen.pictures) - used, "bad": len(seen.faults), "left out": len(seen.dropped)}
    said = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    listed = f": {some(seen.dropped)}" if seen.dropped else ""
    return f"not used: {said}{listed}" if said else ""


def _captions(pictures: Sequence[Picture], *, lines: bool) -> str:
    entries = [picture.entry for picture in pictures]
    origins = Counter(entry.caption_from for entry in entries)
    said = [f"captions from {', '.join(f'{origin} ({count:,})' for origin, count in origins.most_common())}"]
    if several := sum(bool(entry.others) for entry in entries):
        said.append(f"{many(several, 'picture has', 'pictures have')} several, of which one is drawn at each visit")
    if empty := sum(not entry.text.strip() for entry in entries):
        said.append(many(empty, "is empty", "are empty"))
    broken = sum("\n" in entry.text.strip() for entry in entries)
    if broken and not lines:
        said.append(f"{many(broken, 'has', 'have')} several lines, read as one caption (data.caption_lines)")
    return "; ".join(said)


def _enlarged(pictures: Sequence[Picture]) -> str:
    factors = [picture.enlargement for picture in pictures if picture.enlargement > 1]
    if not factors:
        return ""
    are = many(
        len(factors), "picture is smaller than its shape and is", "pictures are smaller than their shape and are"
    )
    return f"{are} enlarged, by up to {max(factors):.2g}"


def _repeats(pictures: Sequence[Picture]) -> str:
    asked = sorted({int(count) for picture in pictures if (count := picture.entry.columns.get("repeats"))})
    if not asked:
        return ""
    numbers = ", ".join(map(str, asked))
    return f"folder names ask for repeats ({numbers}), which are not made: every picture is seen once an epoch"


def _splits(pictures: Sequence[Picture], root: str) -> str:
    """`datasets` gives the split that is asked for; here all that lies in a folder is one set."""
    found = Counter(split[1] for picture in pictures if (split := SPLIT.search(picture.entry.name)))
    others = [f"{name} ({count:,})" for name, count in sorted(found.items()) if not name.startswith("train")]
    if not others or len(others) == len(found):
        return ""
    return f"{', '.join(others)} beside train: all are one set; name what lies in train alone as data.root, not {root}"


def _reviewed(root: str) -> str:
    """Of the folder that people looked through; what they kept is another one, without their marks."""
    if not (Path(root) / REVIEWING).is_dir():
        return ""
    return (
        f"people have reviewed these, and what they rejected is among them: emu review {root} --out SET leaves it out"
    )
