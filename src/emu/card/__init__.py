"""The data card of a curated folder: `README.md` as a Hub dataset card, and the same as one offline page, `card.html`.

Reads the folder alone. What is not known is said to be not known; a file that somebody else wrote, or changed, stays.
"""

import hashlib
import re
from dataclasses import replace
from pathlib import Path

from emu.card import captions, concepts, funnel, html, licences, looks, origin, people
from emu.card.blocks import Card, Pictures, Quoted, Section
from emu.card.markdown import markdown
from emu.curate.folder import Curated, read_curated
from emu.errors import UserError
from emu.layouts.curated_folder import CARD, CARD_PAGE, METADATA
from emu.layouts.review_json import ReviewOutcome, read_review
from emu.storage.files import write
from emu.terminal.counted import many

SHOWN = 24  # pictures, at random
MARK = "<!-- written by emu card; sha256 of all before this line: {} -->\n"
MARKED = re.compile(r"(.*)" + re.escape(MARK).replace(r"\{\}", "([0-9a-f]{64})") + r"\Z", re.DOTALL)
SIZES = [(1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")]


def write_card(folder: Path, *, paths: bool = False) -> list[Path]:
    """Writes both files, and returns them. UserError: no curated folder; a file that `emu card` did not write.

    Args:
        paths: keep absolute paths of the source and the config; without it their last part alone stays.
    """
    files = [folder / CARD, folder / CARD_PAGE]
    curated, review = read_curated(folder), read_review(folder)
    if curated.footer and not paths:
        curated = replace(curated, footer=curated.footer.without_places())
    for path in files:
        _require_ours(path)
    card = make_card(curated, review)
    for path, text in zip(files, (markdown(card), html.page(card, folder)), strict=True):
        write(path, marked(text), alone=True)
    return files


def make_card(curated: Curated, review: ReviewOutcome | None) -> Card:
    """All that is known of the folder. UserError: a picture is not there."""
    rows, folder = curated.rows, curated.folder
    files = [row["file_name"] for row in rows]
    pictures = origin.pictures_sha256([origin.file_sha256(folder / file) for file in files])
    seed = int(pictures[:8], 16)
    texts = {row["file_name"]: str(row.get("text") or "") for row in rows}
    shown = [(file, texts[file]) for file in looks.sample(files, SHOWN, seed=seed)]
    return Card(
        title=Quoted(folder.resolve().name),
        lead=f"{many(len(files), 'picture')} with captions, for quality-tuning a text-to-image model.",
        sections=[
            Section("Pictures", ["Drawn at random, not the best ones.", Pictures(shown)]),
            funnel.section(curated.footer),
            people.section(review),
            concepts.section(curated),
            looks.section(folder, files, seed=seed),
            captions.section(rows, review),
            licences.section(rows),
            origin.section(curated, pictures, review),
            origin.making(curated),
        ],
        front=_front(curated),
        unknown=_unknown(curated),
    )


def marked(text: str) -> str:
    """With a last line by which it is known again, and whether somebody has changed it."""
    return text + MARK.format(hashlib.sha256(text.encode()).hexdigest())


def _require_ours(path: Path) -> None:
    if not path.exists():
        return
    found = MARKED.match(path.read_bytes().decode(errors="replace"))
    if found is None:
        raise UserError(f"{path}: not written by emu card; move it away, and it will not be overwritten")
    if hashlib.sha256(found[1].encode()).hexdigest() != found[2]:
        raise UserError(f"{path}: was changed since emu card wrote it; move it away, and it will not be overwritten")


def _front(curated: Curated) -> dict[str, object]:
    """The metadata that the Hub reads."""
    number = len(curated.rows)
    front: dict[str, object] = {"pretty_name": curated.folder.resolve().name, "license": licences.front(curated.rows)}
    found = _languages(curated)
    if found:
        front["language"] = found
    size = next((name for edge, name in SIZES if number < edge), "n>1M")
    return front | {
        "task_categories": ["text-to-image"],
        "size_categories": [size],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": _patterns(curated)}]}],
    }


def _languages(curated: Curated) -> list[str]:
    """By the column that has them, where every value is a code that the Hub reads."""
    known = sorted((captions.languages(curated.rows) or {}).keys() - {"not known"})
    return known if all(re.fullmatch("[a-z]{2,3}", one) for one in known) else []


def _unknown(curated: Curated) -> list[str]:
    return ["language"] if not _languages(curated) else []


def _patterns(curated: Curated) -> list[str]:
    """metadata.jsonl and its pictures, and not the manifest, which lists every picture of the source."""
    return [METADATA, *sorted({_pattern(row["file_name"]) for row in curated.rows})]


def _pattern(file: str) -> str:
    first, slash, _ = file.partition("/")
    return f"{first}/**" if slash else f"*.{file.rpartition('.')[2]}"
