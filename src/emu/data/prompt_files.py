"""The files that prompts come in: a row a prompt, with the place that a message names.

.txt           a prompt a line; # begins a comment; flags as in kohya's sample_prompts.txt
.csv .tsv      the column prompt, text or caption, in any case
.jsonl         an object a line
.json          a list of texts or objects; an object of them by name; COCO's annotations
.toml          kohya's [prompt] with [[prompt.subset]]

A picture that a row names under "image", for models that make one of it, lies where the file says or beside the file.
"""

import io
import json
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from emu.bundled import how_to_have
from emu.data.prompt_settings import split_flags
from emu.data.tabular import Cells, read_cells
from emu.errors import UserError
from emu.layouts import runs
from emu.storage.shapes import Row

Rows = Iterator[tuple[str, Row]]  # (where, the row as it stands there)

PROMPT = ("prompt", "prompts", "text", "caption")  # the first of these that a row has is its prompt, in any case
LISTS = ("prompts", "samples", "annotations")  # keys of an object that hold the rows


def read_rows(file: Path) -> Rows:
    """Every row of a prompt file, its prompt under "prompt". UserError names the file and the line."""
    reader = READERS.get(file.suffix.lower())
    if reader is None:
        raise UserError(f"{file}: prompts are read from {', '.join(READERS)}, or a folder of drawn pictures")
    if not file.is_file():
        remedy = how_to_have(file) or f"give one of {', '.join(READERS)}"
        raise UserError(f"{file}: no such prompt file; {remedy}")
    for where, row in reader(_text(file), str(file)):
        named = row.get("image")
        if isinstance(named, str) and (beside := file.parent / named).is_file():
            row["image"] = str(beside.absolute())
        yield where, row


def read_folder(folder: Path) -> Rows:
    """The prompts of drawn pictures; where there are none and files of text, a prompt a file, as DPG-Bench has them."""
    files = sorted(path for path in folder.glob("*.txt") if not path.name.startswith("."))
    if (folder / runs.SAMPLES).exists() or not files:
        yield from _samples(folder)
        return
    for file in files:
        yield str(file), {"name": file.stem, **split_flags(" ".join(_text(file).split()), where=str(file))}


def _samples(folder: Path) -> Rows:
    """The prompts and seeds of drawn pictures, each picture under "image"; how they were drawn is left behind."""
    for row in runs.read_samples(folder):
        kept = {name: value for name, value in row.items() if name not in ("file", "index", "sampler", "model")}
        yield f"{folder / runs.SAMPLES}: {row['file']}", {**kept, "image": str((folder / row["file"]).absolute())}


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})") from None


def _lines(text: str, file: str) -> Rows:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield f"{file} line {number}", split_flags(line, where=f"{file} line {number}")


def _csv(text: str, file: str) -> Rows:
    return _table(read_cells(io.StringIO(text), file=file), file)


def _tsv(text: str, file: str) -> Rows:
    # PartiPrompts has prompts that begin with a quotation mark, and quotes nothing
    return _table(read_cells(io.StringIO(text), file=file, tabs=True, quoted=False), file)


def _table(lines: Iterator[tuple[int, Cells | str]], file: str) -> Rows:
    for number, cells in lines:
        where = f"{file} line {number}"
        if isinstance(cells, str):
            raise UserError(f"{where}: {cells}")
        if not {name.lower() for name in cells} & set(PROMPT):
            raise UserError(f"{file}: its first line names no column {' or '.join(PROMPT)}, but {', '.join(cells)}")
        yield where, {name: cell for name, cell in _named(dict(cells), where).items() if cell}


def _jsonl(text: str, file: str) -> Rows:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            where = f"{file} line {number}"
            yield where, _object(_json_value(line, where), where)


def _json(text: str, file: str) -> Rows:
    document = _json_value(text, file)
    shared: Row = {}
    if isinstance(document, dict):
        key = next((name for name in LISTS if isinstance(document.get(name), list)), None)
        if key is None:
            yield from _by_name(document, file)
            return
        # COCO's other keys tell of its pictures; EveryDream's are settings that all samples share
        shared = {} if key == "annotations" else {name: one for name, one in document.items() if name != key}
        document = document[key]
    if not isinstance(document, list):
        raise UserError(f"{file}: needs a list of texts or objects, or an object of them by name")
    for number, one in enumerate(document, start=1):
        where = f"{file} item {number}"
        row = split_flags(one, where=where) if isinstance(one, str) else _object(one, where)
        if row.pop("enabled", True) is not False:  # OneTrainer's
            yield where, {**shared, **row}


def _by_name(document: Row, file: str) -> Rows:
    """SimpleTuner's library, MJHQ's and GenAI-Bench's files: {"a name": a text or an object}."""
    for name, one in document.items():
        where = f"{file} {name}"
        yield where, {"name": name, **(split_flags(one, where=where) if isinstance(one, str) else _object(one, where))}


def _toml(text: str, file: str) -> Rows:
    try:
        shared = tomllib.loads(text).get("prompt")
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{file}: not TOML ({error})") from None
    if not isinstance(shared, dict) or not isinstance(shared.get("subset"), list):
        raise UserError(f"{file}: needs [prompt] and, for each prompt, [[prompt.subset]]")
    for number, one in enumerate(shared.pop("subset"), start=1):
        where = f"{file} subset {number}"
        yield where, _object({**shared, **one} if isinstance(one, dict) else one, where)


def _json_value(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: not JSON ({error})") from None


def _object(row: Any, where: str) -> Row:
    if not isinstance(row, dict):
        raise UserError(f'{where}: needs an object with a text under "prompt"')
    return _named(row, where)


def _named(row: Row, where: str) -> Row:
    """The row with its prompt under "prompt", whatever it was called."""
    names = {name.strip().lower(): name for name in reversed(row)}
    found = next((names[one] for one in PROMPT if one in names), None)
    if found is None:
        raise UserError(f"{where}: has no {', '.join(PROMPT[:-1])} or {PROMPT[-1]}")
    prompt = row[found]
    if not isinstance(prompt, str) or not prompt.strip():
        raise UserError(f"{where}: the prompt is {'empty' if prompt in ('', None) else f'{prompt!r:.40}, no text'}")
    return {"prompt": prompt.strip(), **{name: value for name, value in row.items() if name != found}}


READERS: dict[str, Callable[[str, str], Rows]] = {
    ".txt": _lines,
    ".csv": _csv,
    ".tsv": _tsv,
    ".jsonl": _jsonl,
    ".json": _json,
    ".toml": _toml,
}
