"""Sets of the simulated web for a study: the needles, and pictures below their bar.

A set is a folder as `emu fit` takes it. What is there already is not drawn again; metadata.jsonl, written last, marks a
set as complete.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from emu.errors import UserError
from emu.storage import files
from emu.storage.records import read_lines
from emu.terminal.bars import Bar
from emu.world import World, named
from emu.world.scene import Scene

PICTURES_SEED, PROMPTS_SEED = 10, 11  # the demo's: the bases saw World(0), the judges learned from World(2)
STREAMS = ("needles", "haystack")


def draw_sets(folder: Path, asked: Mapping[str, Any]) -> None:
    """FOLDER/prompts.jsonl, with `draws` of each prompt, and a folder for every other set."""
    for name, amount in asked.items():
        if name == "prompts":
            draw_prompts(folder / "prompts.jsonl", amount, draws=asked.get("draws", 1))
        elif name != "draws":
            draw_set(folder / name, amount)


def draw_prompts(path: Path, amount: int, *, draws: int = 1) -> None:
    """Prompts, a quarter of them of kinds that no needle shows, with what they ask for in columns: kind, colour, ...

    Each stands in the file `draws` times: it is drawn from as many seeds, which diversity needs. A file of these very
    prompts stays as it is, since runs may have begun with it. UserError: there are not so many.
    """
    try:
        prompts = World(PROMPTS_SEED).prompts(amount, unseen=amount // 4)
    except ValueError as error:
        raise UserError(f"world.prompts {amount:,}: {error}") from None
    rows = [{**row, **named(row["prompt"])} for row in prompts for _ in range(draws)]
    there = read_lines(path, dict[str, str], remedy="remove it") if path.is_file() else []
    if [row.get("prompt") for row in there] != [row["prompt"] for row in rows]:
        files.write_lines(path, rows)


def draw_set(folder: Path, amount: Mapping[str, int]) -> None:
    """A set of `needles` pictures with all five qualities and `haystack` pictures as the web has them.

    UserError: another one is there.
    """
    if unknown := [stream for stream in amount if stream not in STREAMS]:
        raise UserError(f"world.{folder.name}: no stream {unknown[0]}; there are {' and '.join(STREAMS)}")
    if (folder / "metadata.jsonl").exists():
        there = read_lines(folder / "metadata.jsonl", dict[str, str], remedy="remove it")
        if [row.get("text") for row in there] != [scene.caption for scene in _scenes(amount)]:
            raise UserError(
                f"{folder}: holds another set than is asked for, and runs may have learned from it; "
                "name another --out, or remove this one"
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    scenes = Bar(_scenes(amount), desc=folder.name, unit="picture", total=sum(amount.values()))
    for i, scene in enumerate(scenes):
        scene.render().save(folder / f"{i:05d}.png")
        rows.append({"file_name": f"{i:05d}.png", "text": scene.caption})
    files.write_lines(folder / "metadata.jsonl", rows)


def _scenes(amount: Mapping[str, int]) -> Iterator[Scene]:
    world = World(PICTURES_SEED)
    for stream in STREAMS:
        draw = world.needle if stream == "needles" else world.haystack
        yield from map(draw, range(amount.get(stream, 0)))
