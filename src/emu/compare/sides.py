"""One side of a comparison: a folder of pictures with what is known of each.

The folder of a step, or one that `emu sample` drew, says it in `samples.jsonl`. A plain folder of pictures is known by
its file names; prompts are whatever a reader of sets finds in it or beside the pictures.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emu import runs
from emu.errors import UserError

Key = Hashable  # (prompt, seed), or a file's name without its ending


@dataclass(frozen=True)
class Side:
    """What pairs are made of.

    Args:
        folder: where the pictures lie.
        rows: key -> {"file", "prompt", "seed", ...}; what a picture was to show is "" where nobody knows.
        scores: file -> column -> score.
        judges: column -> card of the judge that gave it.
        doubtful: files that no key tells apart, so that they have no partner.
    """

    folder: Path
    rows: dict[Key, runs.Row]
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    judges: dict[str, dict[str, Any]] = field(default_factory=dict)
    doubtful: list[str] = field(default_factory=list)


def drawn(folder: Path) -> Side:
    """A folder with its `samples.jsonl`, known by prompt and seed."""
    rows = runs.read_samples(folder)
    return _side(folder, [((row["prompt"], row["seed"]), row) for row in rows])


def named(folder: Path, prompts: dict[str, str]) -> Side:
    """A folder of pictures, known by file name: `a/0.png` of one is `a/0.jpg` of another."""
    from emu.data.sources.kinds import PICTURES, hidden, suffix

    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    pictures = [file for file in files if suffix(file) in PICTURES and not any(map(hidden, Path(file).parts))]
    if not pictures:
        raise UserError(f"{folder}: holds neither pictures nor a run; give run folders, or two folders of pictures")
    rows = {row["file"]: row for row in runs.read_samples(folder)} if (folder / runs.SAMPLES).is_file() else {}
    return _side(
        folder,
        [
            (str(Path(file).with_suffix("")), {"prompt": prompts.get(file, ""), **rows.get(file, {}), "file": file})
            for file in pictures
        ],
    )


def captions(folder: Path) -> dict[str, str]:
    """File -> prompt, of those pictures of a plain folder that have one: in a metadata file or a text beside them."""
    from emu.data.sources import Entry, read_source

    try:
        return {item.name: item.text for item in read_source(str(folder)) if isinstance(item, Entry)}
    except UserError:  # a folder without any caption is no set, and may be compared
        return {}


def _side(folder: Path, keyed: list[tuple[Key, runs.Row]]) -> Side:
    found: dict[Key, list[runs.Row]] = {}
    for key, row in keyed:
        found.setdefault(key, []).append(row)
    return Side(
        folder,
        rows={key: rows[0] for key, rows in found.items() if len(rows) == 1},
        scores=runs.read_scores(folder),
        judges=runs.read_judges(folder),
        doubtful=[row["file"] for rows in found.values() if len(rows) > 1 for row in rows],
    )
