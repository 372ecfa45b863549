"""The names in a curated folder, spelt here alone: what `emu curate` writes, and what people, taste and card add to it.

A plain folder with a `metadata.jsonl` is a curated folder too; of that, less is known.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import yaml

from emu.errors import printable

METADATA = "metadata.jsonl"  # a line a picture; written last, so that a folder that has it is complete
MANIFEST = "manifest.parquet"  # every picture of the source, what was measured of it and how it ended
PAGE = "funnel.html"
IMAGES, UPSAMPLED = "images", "upsampled"  # folders of pictures
WORK = ".curate"  # a folder: what is measured so far
REVIEWING = ".review"  # a folder: sums and thumbnails of a review
WORKS = (WORK, REVIEWING)
REVIEW = "review.json"  # what people decided
TASTE, HEAD = "taste.parquet", "taste.safetensors"  # in which order to look, by a head on what people decided
CARD, CARD_PAGE = "README.md", "card.html"

UPSAMPLED_FROM = "upsampled_from"  # a line's column: the smaller picture that its own was made from, and by what


def original(row: Mapping[str, object]) -> str:
    """The picture of a line as the funnel wrote it, also where a larger one stands for it now."""
    made = row.get(UPSAMPLED_FROM)
    return str(made["file_name"] if isinstance(made, dict) else row["file_name"])


FRONT = re.compile(r"---\n(.*?)\n---\n", re.DOTALL)


def stated_licences(card: Path) -> list[str]:
    """What the front matter of a data card says of licences; [] where it says nothing, or there is no card."""
    front = FRONT.match(card.read_text(errors="replace")) if card.is_file() else None
    try:
        said = yaml.safe_load(front[1]) if front else None
    except yaml.YAMLError:  # somebody's own README.md
        return []
    found = said.get("license") if isinstance(said, dict) else None
    return [printable(str(one)) for one in (found if isinstance(found, list) else [found]) if one]
