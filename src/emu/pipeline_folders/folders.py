"""Pipeline folders: where one lies, which architecture it holds, what is in it, how one is made of another."""

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from diffusers import DiffusionPipeline
from huggingface_hub import snapshot_download

from emu.bundled import resolve
from emu.errors import UserError, first_line
from emu.pipeline_folders import components, weight_files
from emu.storage import files, shapes
from emu.storage.records import read_json
from emu.storage.shapes import ComponentConfig

INDEX = "model_index.json"
SAVED = "not a pipeline folder: name one made by save_pretrained"
# Of a hub model only what describes it is fetched where no weights are asked for.
DESCRIPTION = ["*.json", "*.txt", "*.model", "*/*.json", "*/*.txt", "*/*.model"]
MODEL = "emu.json"  # in an exported folder: the class of emu or of the user's that made it, and its arguments


def locate(pretrained: str) -> Path:
    """The folder of a path, an `emu://NAME` or a hub name, which is downloaded where it is not yet.

    Raises UserError where there is none.
    """
    path = Path(resolve(pretrained))
    if path.is_dir():
        return path
    if path.is_absolute() or pretrained.startswith((".", "~")) or pretrained.count("/") != 1:
        raise UserError(
            f"model.pretrained {pretrained}: no such folder; give a pipeline folder or a hub name (OWNER/NAME)"
        )
    try:
        return Path(DiffusionPipeline.download(pretrained))
    except (OSError, ValueError) as error:
        reason = first_line(error)
        raise UserError(f"model.pretrained {pretrained}: neither a folder nor found on the hub ({reason})") from error


def describing(pretrained: str, also: Iterable[str] = ()) -> Path:
    """As `locate`, but of a hub model only what describes it is fetched, and all of the components `also`."""
    if Path(pretrained).is_dir() or pretrained.startswith((".", "/", "~", "emu:")) or pretrained.count("/") != 1:
        return locate(pretrained)
    try:
        return Path(snapshot_download(pretrained, allow_patterns=[*DESCRIPTION, *(f"{name}/*" for name in also)]))
    except (OSError, ValueError) as error:
        reason = first_line(error)
        raise UserError(f"model.pretrained {pretrained}: neither a folder nor found on the hub ({reason})") from error


def component(given: str, name: str, *, weights: bool = True) -> Path:
    """The folder of a component: itself, or in a pipeline folder or hub repository under its name.

    Of a repository it is fetched, with its `weights` or only what describes it.
    """
    folder = Path(resolve(given))
    if not folder.is_dir():
        ends = ("*.json", *(("*.safetensors", "*.bin") if weights else ()))
        patterns = [f"{inside}{end}" for inside in ("", f"{name}/") for end in ends]
        try:
            folder = Path(snapshot_download(given, allow_patterns=patterns))
        except (OSError, ValueError) as error:
            reason = first_line(error)
            raise UserError(f"model.{name} {given}: no such folder or file, nor found on the hub ({reason})") from error
    found = folder if (folder / "config.json").is_file() else folder / name
    if not (found / "config.json").is_file():
        raise UserError(f"model.{name} {given}: holds no config.json; name a component's folder, or a pipeline's")
    return found


def read_index(folder: Path) -> ComponentConfig:
    """What `model_index.json` says: `_class_name`, and component -> [library, class]."""
    index: ComponentConfig = read_json(folder / INDEX, shapes.PipelineIndex, remedy=SAVED)
    for name, part in index.items():
        if components.is_part(part) and [type(one) for one in part] not in ([str, str], [type(None)] * 2):
            raise UserError(f"{folder / INDEX}: {name} is no library and class: {part}; copy the file again")
    return index


def content_hash(folders: Iterable[Path]) -> str:
    """sha256 of every file in `folders` by name and content, wherever the folders lie."""
    digest = hashlib.sha256()
    for folder in sorted(folders):
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            digest.update(f"{folder.name}/{path.relative_to(folder)} {files.sha256(path)}\n".encode())
    return digest.hexdigest()


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A folder to fill beside `folder`; renamed into its place at the end, over an earlier one.

    By one process at a time. What is raised inside leaves `folder` as it was.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside, aside = (folder.with_name(f".{folder.name}.{end}") for end in ("new", "old"))
    if aside.exists() and not folder.exists():  # killed between the two renames below
        aside.rename(folder)
    for left in (beside, aside):
        shutil.rmtree(left, ignore_errors=True)
    beside.mkdir()
    try:
        yield beside
        if folder.exists():  # a folder that is not empty cannot be renamed over
            folder.rename(aside)
        beside.rename(folder)
        shutil.rmtree(aside, ignore_errors=True)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def copy(base: Path, target: Path, *, trained: str) -> None:
    """A pipeline folder's files, byte for byte, but for the weights of `trained`, which is left with its description.

    Saved anew they would be in the words of the newest libraries, which those that people have do not know. Weights
    that lie there as a variant alone are given the plain name, so that the folder loads without naming one; a component
    that is named and not there is named no longer: nothing needed it.
    """
    index = read_index(base)
    text = (base / INDEX).read_text()
    parts = [name for name, part in index.items() if components.is_part(part) and part[0] is not None]
    if absent := {name: [None, None] for name in parts if not (base / name).is_dir()}:
        text = json.dumps(index | absent, indent=2)
    (target / INDEX).write_text(text)
    for licence in base.glob("LICENSE*"):  # not the model's card: it tells of another model
        shutil.copyfile(licence, target / licence.name)
    for name in parts:
        if name == trained:
            (target / name).mkdir()
            shutil.copyfile(base / name / "config.json", target / name / "config.json")
        elif (base / name).is_dir():
            shutil.copytree(base / name, target / name, copy_function=shutil.copyfile)
            name_plainly(target / name)


def name_plainly(component: Path) -> None:
    """Take the variant's name out of a component's files of weights, where it has them as one variant alone."""
    variant = weight_files.only_variant(component)
    if variant is None:
        return
    for path in [path for path in component.iterdir() if f".{variant}" in path.name]:
        plain = path.with_name(path.name.replace(f".{variant}", "", 1))
        if path.suffix == ".json":
            plain.write_text(path.read_text().replace(f".{variant}", ""))
            path.unlink()
        else:
            path.rename(plain)
