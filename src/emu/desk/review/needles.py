"""The pictures that stayed, as a curated folder of their own: what `emu fit` takes, and the end of the funnel.

Files are copied byte by byte. `metadata.jsonl` is written last; what the folder lacks after a kill is made by the same
command.
"""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from emu.desk.review.results import results, waits
from emu.desk.review.study import Review
from emu.desk.study import fingerprint
from emu.errors import UserError
from emu.layouts.curated_folder import METADATA, REVIEW
from emu.layouts.review_json import Reviewed
from emu.storage import files
from emu.storage.records import to_json
from emu.terminal.counted import many

MARK = ".reviewed.json"  # what the folder is made from


def write_needles(review: Review, out: Path) -> str:
    """Write the folder and `review.json` into it; returns what was done, in a line.

    Raises:
        UserError: no picture has come to the end, or `out` holds something else, or cannot be written to.
    """
    outcome = results(review)
    missing = waits(outcome)
    kept = {row.file: row for row in outcome.pictures if row.kept}
    if not kept:
        raise UserError(f"no picture has come through all passes yet; {missing or 'all were rejected'}")
    try:
        _claim(out, {"review": fingerprint(review.pictures)})
        for file in kept:
            _bring(review.folder / file, out / file)
        for picture in review.pictures.values():  # what an earlier end had kept; nothing else in there is ours
            if picture.file not in kept:
                (out / picture.file).unlink(missing_ok=True)
        os.sync()  # once for all pictures, before the file that says that they are there
        files.write(out / REVIEW, to_json(outcome))
        files.write(out / METADATA, _metadata(review, kept), durable=True)
    except OSError as error:
        raise UserError(f"--out {out}: {error.strerror}; make room there and give the same command again") from error
    return f"{out}: {len(kept):,} of {many(len(review.pictures), 'picture')}{missing and f'; {missing}'}"


def _metadata(review: Review, kept: Mapping[str, Reviewed]) -> str:
    """A line a picture: its own columns, the caption that stands, and the source's where that is another."""
    lines = []
    for picture in review.pictures.values():
        if row := kept.get(picture.file):
            own = {"file_name": picture.file, "text": row.text, "caption_source": row.caption_source}
            before = {} if row.text == picture.text else {"source_text": picture.text}
            lines.append(json.dumps({**picture.row, **own, **before}) + "\n")
    return "".join(lines)


def _claim(out: Path, mark: dict[str, str]) -> None:
    """UserError where the folder holds anything but an earlier end of the same review."""
    if out.exists() and any(out.iterdir()):
        try:
            ours = json.loads((out / MARK).read_text(encoding="utf-8")) == mark
        except (OSError, ValueError):
            ours = False
        if not ours:
            raise UserError(f"--out {out}: holds something else; name a new folder")
    files.write_json(out / MARK, mark)
    (out / METADATA).unlink(missing_ok=True)  # until all is there
    for folder in {out, *(path.parent for path in out.rglob(".*.tmp"))}:
        files.sweep(folder)


def _bring(source: Path, to: Path) -> None:
    if to.exists() and to.stat().st_size == source.stat().st_size:
        return
    with files.replacing(to) as beside:
        shutil.copyfile(source, beside)
