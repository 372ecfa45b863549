"""Who wrote the captions, how long they are, in which letters. Letters are no language, and none is guessed."""

import re
import unicodedata
from collections import Counter

import numpy as np

from emu.card.blocks import Block, Cell, Section, Table, counted
from emu.layouts.curated_folder import original
from emu.layouts.review_json import ReviewOutcome
from emu.storage.shapes import Row
from emu.terminal.counted import many

SOURCES = {"source": "the source's own", "model": "drafted by a model", "human": "written or corrected by people"}
LANGUAGES = ("language", "lang")
SHOWN = 20


def section(rows: list[Row], review: ReviewOutcome | None) -> Section:
    """Sources, lengths, letters, and languages where a column has them."""
    texts = [row["text"] for row in rows if isinstance(row.get("text"), str)]
    blocks: list[Block] = []
    if len(texts) < len(rows):
        blocks += [f"{many(len(rows) - len(texts), 'picture')} of {len(rows):,} have no caption."]
    blocks += [counted("Who wrote it", "Captions", sources(rows, review), most=SHOWN)]
    if texts:
        lengths = [len(re.findall(r"\w+", text)) for text in texts], [len(text) for text in texts]
        heads = ["Length in", "Least", "Lower quartile", "Median", "Upper quartile", "Most"]
        units: list[list[Cell]] = [_quartiles(*one) for one in zip(("words", "characters"), lengths, strict=True)]
        alike = len(texts) - len(set(texts))
        blocks += [
            Table(heads, units, number=5),
            f"{many(alike, 'caption repeats', 'captions repeat')} another one to the letter.",
        ]
        blocks += [counted("Letters", "Captions", Counter(map(script, texts)), most=SHOWN)]
    blocks += _languages(rows)
    return Section("Captions", blocks)


def sources(rows: list[Row], review: ReviewOutcome | None) -> Counter[str]:
    """By review.json, or by a column `caption_source`."""
    said = {one.file: one.caption_source for one in review.pictures} if review else {}
    found = [said.get(original(row)) or row.get("caption_source") for row in rows]
    return Counter(SOURCES.get(str(one), str(one)) if one else "not known" for one in found)


def script(text: str) -> str:
    """The letters that most of a text is written in, by the first word of their Unicode names."""
    names = Counter(unicodedata.name(c, "unknown").split()[0].lower() for c in text if c.isalpha())
    return names.most_common(1)[0][0] if names else "no letters"


def languages(rows: list[Row]) -> Counter[str] | None:
    """By the column that has them; None without one."""
    column = next((name for name in LANGUAGES if any(name in row for row in rows)), None)
    return None if column is None else Counter(str(row.get(column) or "not known") for row in rows)


def _languages(rows: list[Row]) -> list[Block]:
    found = languages(rows)
    if found is None:
        return ["Languages are not known: no column names them, and letters do not tell."]
    return ["As the source says:", counted("Language", "Captions", found, most=SHOWN)]


def _quartiles(unit: str, lengths: list[int]) -> list[Cell]:
    return [unit, *(f"{value:,.0f}" for value in np.quantile(lengths, (0, 0.25, 0.5, 0.75, 1)))]
