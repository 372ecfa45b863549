"""What the folder is, to the byte, and what it was made with: hashes, the config, versions."""

import hashlib
import importlib.metadata
import platform
from collections import Counter
from pathlib import Path

import yaml

from emu.card.blocks import Block, Cell, Quoted, Section, Table, Verbatim
from emu.curate.folder import Curated
from emu.errors import UserError
from emu.layouts.curated_folder import MANIFEST, METADATA, REVIEW, UPSAMPLED_FROM
from emu.layouts.review_json import ReviewOutcome
from emu.storage import files

PACKAGES = ("emu-quality-tuning", "pillow", "numpy", "pyarrow")


def file_sha256(path: Path) -> str:
    """UserError: a picture that metadata.jsonl names is not there."""
    try:
        return files.sha256(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); mend it, or take it out of {METADATA}") from None


def pictures_sha256(hashes: list[str]) -> str:
    """Of the pictures' own hashes, sorted, a line each: one number for the set, whatever the files are called."""
    return hashlib.sha256("".join(f"{one}\n" for one in sorted(hashes)).encode()).hexdigest()


def section(curated: Curated, pictures: str, review: ReviewOutcome | None) -> Section:
    """Hashes."""
    rows: list[list[Cell]] = [["the pictures: their sha256, sorted, a line each", pictures]]
    for name in (METADATA, MANIFEST, REVIEW):
        path = curated.folder / name
        rows.append([name, file_sha256(path) if path.exists() else "not there"])
    rows.append(["the guideline", Quoted(review and review.guideline.sha256 or "not known")])
    rows.append(["the funnel's config", Quoted(curated.footer.config if curated.footer else "not known")])
    return Section("Hashes (sha256)", [Table(["Of", "Value"], rows)])


def making(curated: Curated) -> Section:
    """The source, the config, upsampling, versions."""
    blocks: list[Block] = []
    if footer := curated.footer:
        blocks += [Table(["Source"], [[Quoted(footer.source)]])]
        blocks += [Verbatim("The config", yaml.safe_dump(footer.document, sort_keys=False))]
    else:
        blocks += ["Source and config are not known: the folder has no manifest."]
    blocks += [_upsampled(curated)]
    versions: list[list[Cell]] = [[name, importlib.metadata.version(name)] for name in PACKAGES]
    blocks += [
        "This card was written with the versions below; with which ones the funnel ran, the manifest does not tell.",
        Table(["Software", "Version"], [["Python", platform.python_version()], *versions]),
    ]
    return Section("How it was made", blocks)


def _upsampled(curated: Curated) -> Block:
    made = [row[UPSAMPLED_FROM] for row in curated.rows if isinstance(row.get(UPSAMPLED_FROM), dict)]
    factors = [row["upsample"] for row in curated.rows if isinstance(row.get("upsample"), int | float)]
    small = sum(factor > 1 for factor in factors)
    if not factors:
        return "No picture is known to be upsampled."
    if not made:
        return f"No picture is upsampled; {small:,} are marked as smaller than was asked for."
    by = Counter((str(one.get("upsampler")), str(one.get("upsampler_sha256") or "-")) for one in made)
    rows: list[list[Cell]] = [
        [Quoted(name), Quoted(sha256), f"{number:,}"] for (name, sha256), number in sorted(by.items())
    ]
    return Table(["Upsampled by", "sha256 of its weights", "Pictures"], rows, number=1)
