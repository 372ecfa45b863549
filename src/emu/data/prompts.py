"""Prompts with their seeds: what a run draws before, during and after, always the same."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from emu.bundled import resolve
from emu.errors import UserError


def load_prompts(path: str | Path, *, limit: int = 0, seed: int = 0) -> list[dict[str, Any]]:
    """Read a `.txt` (one prompt a line), `.tsv` (a `Prompt` column, as PartiPrompts) or `.jsonl` (a `prompt` key).

    Each row holds `prompt`, `index` (its place among the prompts of the file), `seed` (`seed + index`) and the file's
    further columns under their own names. `limit` > 0 keeps that many, spread evenly over the file, since prompt files
    are sorted by category; 0 keeps all. UserError names the file and the line.
    """
    file = Path(resolve(str(path)))
    if not file.is_file():
        raise UserError(f"{file}: no such prompt file; give a .txt, .tsv or .jsonl")
    match file.suffix:
        case ".txt":
            rows: list[dict[str, Any]] = [{"prompt": line.strip()} for line in _text(file).split("\n") if line.strip()]
        case ".tsv":
            rows = list(_tsv(file))
        case ".jsonl":
            rows = list(_jsonl(file))
        case _:
            raise UserError(f"{file}: prompts are read from .txt, .tsv or .jsonl")
    if not rows:
        raise UserError(f"{file}: holds no prompt")
    rows = [{**row, "index": index, "seed": seed + index} for index, row in enumerate(rows)]
    kept = min(limit or len(rows), len(rows))
    return [rows[i * len(rows) // kept] for i in range(kept)]


def prompt_batches(rows: list[dict[str, Any]], *, batch_size: int, rank: int, world: int) -> list[dict[str, Any]]:
    """This rank's batches: `prompt` list[str], `seed` and `index` int64 (b,), and the further columns as lists.

    Rank r takes every `world`-th prompt from r on. All ranks get equally many, so that they sample in step: a rank that
    runs short repeats the first prompt with index -1, which no one keeps.
    """
    filler = {**rows[0], "index": -1}
    mine = rows[rank::world]
    mine += [filler] * (-(-len(rows) // world) - len(mine))
    lists = {name: [row.get(name) for row in mine] for name in dict.fromkeys(name for row in rows for name in row)}
    columns: dict[str, Any] = {**lists, "seed": torch.tensor(lists["seed"]), "index": torch.tensor(lists["index"])}
    return [
        {name: values[i : i + batch_size] for name, values in columns.items()} for i in range(0, len(mine), batch_size)
    ]


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: not UTF-8 text ({error.reason} at byte {error.start})") from None


def _tsv(file: Path) -> Iterator[dict[str, Any]]:
    reader = csv.DictReader(io.StringIO(_text(file)), delimiter="\t", quoting=csv.QUOTE_NONE)
    if "Prompt" not in (reader.fieldnames or []):
        raise UserError(f"{file}: its first line names no column `Prompt`")
    for row in reader:
        if not row["Prompt"]:
            raise UserError(f"{file} line {reader.line_num}: the prompt is empty")
        yield {"prompt": row.pop("Prompt"), **{name: value for name, value in row.items() if name and value}}


def _jsonl(file: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(_text(file).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{file} line {number}: not JSON ({error.msg})") from None
        if not isinstance(row, dict) or not isinstance(row.get("prompt"), str):
            raise UserError(f'{file} line {number}: needs an object with a text under "prompt"')
        yield row
