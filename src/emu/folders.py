"""Pipeline folders: where one lies, which architecture it holds, what is in it by content, how one is written."""

import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from diffusers import DiffusionPipeline

from emu.bundled import resolve
from emu.errors import UserError

INDEX = "model_index.json"


def locate(pretrained: str) -> Path:
    """The folder of a path, an `emu://NAME` or a hub name, which is downloaded where it is not yet.

    Raises UserError where there is none.
    """
    path = Path(resolve(pretrained))
    if path.is_dir():
        return path
    if path.is_file():
        raise UserError(
            f"model.pretrained {pretrained}: a single file, and emu takes pipeline folders; convert it with diffusers "
            "first: StableDiffusionPipeline.from_single_file(FILE).save_pretrained(FOLDER), or the pipeline it is of"
        )
    if path.is_absolute() or pretrained.startswith(".") or pretrained.count("/") != 1:
        raise UserError(
            f"model.pretrained {pretrained}: no such folder; give a pipeline folder or a hub name (OWNER/NAME)"
        )
    try:
        return Path(DiffusionPipeline.download(pretrained))
    except (OSError, ValueError) as error:
        first = str(error).strip().partition("\n")[0]
        raise UserError(f"model.pretrained {pretrained}: no such folder, nor found on the hub ({first})") from error


def read_index(folder: Path) -> dict[str, Any]:
    """What `model_index.json` says: `_class_name`, and component -> [library, class]."""
    try:
        index: dict[str, Any] = json.loads((folder / INDEX).read_text())
    except (OSError, ValueError) as error:
        raise UserError(
            f"{folder / INDEX}: not a pipeline folder ({error}); name one made by save_pretrained"
        ) from error
    if "_class_name" not in index:
        raise UserError(f"{folder / INDEX}: names no pipeline class; name a folder with one")
    for name, part in index.items():
        if isinstance(part, list) and [type(one) for one in part] not in ([str, str], [type(None)] * 2):
            raise UserError(f"{folder / INDEX}: {name} is no library and class: {part}; copy the file again")
    return index


def content_hash(folders: Iterable[Path]) -> str:
    """sha256 of every file in `folders` by name and content, wherever the folders lie."""
    digest = hashlib.sha256()
    for folder in sorted(folders):
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            digest.update(f"{folder.name}/{path.relative_to(folder)} {content}\n".encode())
    return digest.hexdigest()


def save(pipeline: DiffusionPipeline, folder: Path) -> None:
    """Write `pipeline` beside `folder`, then rename it into place, over an earlier one. By one process at a time."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside, aside = (folder.with_name(f".{folder.name}.{end}") for end in ("new", "old"))
    if aside.exists() and not folder.exists():  # killed between the two renames below
        aside.rename(folder)
    for left in (beside, aside):
        shutil.rmtree(left, ignore_errors=True)
    try:
        pipeline.save_pretrained(beside, safe_serialization=True)
        if folder.exists():  # a folder that is not empty cannot be renamed over
            folder.rename(aside)
        beside.rename(folder)
        shutil.rmtree(aside, ignore_errors=True)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
