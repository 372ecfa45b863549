"""Prompts with their seeds: what a run draws before, during and after, always the same."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from emu import starts
from emu.batch import Prompts
from emu.bundled import resolve
from emu.data.prompt_files import Rows, read_folder, read_rows
from emu.data.prompt_settings import take_settings
from emu.errors import UserError
from emu.layouts import runs
from emu.storage.shapes import Row

OWN = ("file", "index", "model", "sampler", "settings")  # what emu writes beside a prompt, and no file may set


def load_prompts(path: str | Path, *, limit: int = 0, seed: int = 0) -> list[Row]:
    """Read a file of `emu.data.prompt_files`, such as a `.txt`, PartiPrompts' `.tsv` or kohya's sample_prompts.txt.

    Of a folder that `emu sample` or a run drew the prompts are read, each with its picture under `image`; of one with
    `.txt` files and none of these, a prompt a file.

    Each row holds `prompt`, `index` (its place among the prompts of the file), `seed` (what its line says, otherwise
    `seed + index`), `settings` where its line says how it is drawn, by the names in `emu.data.prompt_settings`, and
    the file's further columns under their own names; one that is called as a column of emu's becomes `prompt_NAME`.
    `limit` > 0 keeps that many, spread evenly over the file, since prompt files are sorted by category; 0 keeps all.
    UserError names the file and the line.
    """
    file = Path(resolve(str(path)))
    rows = _rows(read_folder(file) if file.is_dir() else read_rows(file), seed)
    if not rows:
        raise UserError(f"{file}: holds no prompt")
    kept = min(limit or len(rows), len(rows))
    return [rows[i * len(rows) // kept] for i in range(kept)]


def _rows(found: Rows, seed: int) -> list[Row]:
    rows: list[Row] = []
    places: dict[tuple[str, int], str] = {}
    for index, (where, given) in enumerate(found):
        settings = take_settings(given, where=where)
        row = {f"prompt_{name}" if name in OWN else name: value for name, value in given.items()}
        row |= {"index": index, "seed": settings.pop("seed", seed + index)}
        row |= {"settings": settings} if settings else {}
        try:
            json.dumps(row, ensure_ascii=False, allow_nan=False).encode()
        except (TypeError, ValueError) as error:
            raise UserError(f"{where}: a value that no file can keep ({error})") from None
        first = places.setdefault((row["prompt"], row["seed"]), where)
        if first != where:
            raise UserError(f"{where}: the prompt and the seed of {first}; they are what tells pictures apart")
        rows.append(row)
    return rows


def prompt_batches(rows: list[Row], *, batch_size: int, rank: int, world: int) -> list[Prompts]:
    """This rank's batches of prompts that are drawn with the same settings, from pictures of one size.

    `prompt` and `negative` list[str], `seed` and `index` int64 (b,), `settings` dict (of all of the batch), `columns`
    list[dict] of what else the file says. Rank r takes every `world`-th prompt of the same settings from r on. All
    ranks get equally many, so that they sample in step: a rank that runs short repeats the first with index -1, which
    no one keeps.
    """
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(json.dumps([_shared(row), starts.size(row)], sort_keys=True), []).append(row)
    batches = []
    for group in groups.values():
        mine = group[rank::world]
        mine += [{**group[0], "index": -1}] * (-(-len(group) // world) - len(mine))
        batches += [_batch(mine[start : start + batch_size]) for start in range(0, len(mine), batch_size)]
    return batches


def sample_row(batch: Prompts, i: int, *, sampler: Mapping[str, Any]) -> Row:
    """What `samples.jsonl` says of picture i of a batch that was drawn with these settings."""
    index = int(batch["index"][i])
    negative = batch["negative"][i] if "negative" in batch else ""
    return {
        "file": runs.picture_name(index),
        **(batch["columns"][i] if "columns" in batch else {}),
        "prompt": batch["prompt"][i],
        "seed": int(batch["seed"][i]),
        "index": index,
        "sampler": {**sampler, **({"negative_prompt": negative} if negative else {})},
    }


def _batch(rows: list[Row]) -> Prompts:
    own = ("prompt", "seed", "index", "settings")
    return {
        "prompt": [row["prompt"] for row in rows],
        "negative": [row.get("settings", {}).get("negative_prompt", "") for row in rows],
        "seed": torch.tensor([row["seed"] for row in rows]),
        "index": torch.tensor([row["index"] for row in rows]),
        "settings": _shared(rows[0]),
        "columns": [{name: value for name, value in row.items() if name not in own} for row in rows],
    }


def _shared(row: Row) -> Row:
    """The settings that all of a batch share; a negative prompt is each picture's own."""
    return {name: value for name, value in row.get("settings", {}).items() if name != "negative_prompt"}
