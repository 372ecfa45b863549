"""Where folders that were made of files are kept: beside the hub's models, each made once by one process."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from huggingface_hub import constants

from emu.pipeline_folders import folders
from emu.storage import locks


def place(stem: str, *sources: Path) -> Path:
    """Where what is made of these files lies.

    Of a link that the hub's folders have for a file its own place counts, which says the revision: of another one a
    file may be the same, and what lies beside it not.
    """
    stats = [(str(one.parent.resolve() / one.name), one.stat().st_size, one.stat().st_mtime_ns) for one in sources]
    digest = hashlib.sha256(json.dumps(stats).encode()).hexdigest()[:16]
    return Path(constants.HF_ASSETS_CACHE) / "emu" / "models" / f"{stem}-{digest}"


def made(out: Path, fill: Callable[[Path], None]) -> Path:
    """A folder that is filled by one process, once. One that is there is taken also where it may only be read."""
    if is_whole(out):
        return out
    with locks.in_turn(out):
        if not is_whole(out):
            with folders.replacing(out) as target:
                fill(target)
    return out


def is_whole(folder: Path) -> bool:
    """Whether it was made, and what it links to is still there."""
    return folder.is_dir() and all(one.exists() for one in folder.iterdir())
