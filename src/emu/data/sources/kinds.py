"""Files by their endings: what is read as a picture, what goes with one, and what else people keep beside pictures."""

import re
from pathlib import Path

from emu.layouts.curated_folder import METADATA

PICTURES = frozenset((
    "jpg", "jpeg", "jpe", "jfif", "mpo", "png", "apng", "webp", "avif", "tif", "tiff", "bmp", "dib", "gif",
    "ppm", "pgm", "pbm", "pnm", "heic", "heif", "hif",
))  # fmt: skip
COMPANIONS = ("json", "txt", "caption")
LISTS = frozenset(("csv", "tsv", "jsonl"))  # tables that are text
TABLES = LISTS | {"parquet"}
METADATA_FILES = (METADATA, "metadata.csv", "metadata.parquet")  # as `datasets` has them
UNREAD = frozenset((  # pictures, moving pictures and archives: meant to be used, and to be named where they are not
    "jxl", "jp2", "j2k", "psd", "svg", "ico", "tga", "exr", "hdr", "dng", "cr2", "cr3", "nef", "arw", "orf",
    "rw2", "raf", "mp4", "webm", "mov", "avi", "mkv", "zip", "gz", "tgz", "bz2", "xz", "zst", "7z", "rar",
    "tfrecord", "arrow",
))  # fmt: skip
UNPACKED = frozenset(("zip", "gz", "tgz", "bz2", "xz", "zst", "7z", "rar"))  # of UNREAD, what holds others
LABELS = ("-masklabel", "-condlabel")  # OneTrainer's ends of names of what goes with a picture: a mask, a condition
NOTES = re.compile(r"(?i)^(readme|licen[sc]e|notice|changelog|requirements|dataset_infos?|.*_stats)\b")


def suffix(name: str) -> str:
    """`a/b.c.JPG` -> `jpg`."""
    stem, dot, ending = name.rpartition("/")[2].rpartition(".")
    return ending.lower() if dot and stem else ""


def pictures_below(folder: Path) -> list[str]:
    """The paths of all pictures in a folder and those below it, from there on, in order; hidden ones are left out."""
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return [file for file in files if suffix(file) in PICTURES and not hidden(file)]


def hidden(name: str) -> bool:
    """A file that its maker's system hides, as the `._1.jpg` that a Mac puts beside a picture; or in such a folder."""
    return "__MACOSX" in name or any(part.startswith(".") and part not in (".", "..") for part in name.split("/"))
