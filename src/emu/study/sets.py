"""Sets of the simulated web for a study: the needles, and pictures below their bar.

A set is a folder as `emu fit` takes it. What is there already is not drawn again; metadata.jsonl, written last, marks a
set as complete.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from emu import files
from emu.errors import UserError
from emu.world import World
from emu.world.scene import Scene

PICTURES_SEED, PROMPTS_SEED = 10, 11  # the demo's: the bases saw World(0), the judges learned from World(2)
STREAMS = ("needles", "haystack")


def draw_sets(folder: Path, asked: Mapping[str, Any]) -> None:
    """FOLDER/prompts.jsonl, a quarter of it of kinds that no needle shows, and a folder for every other set.

    `draws` says how often each prompt stands in the file: it is drawn from as many seeds, which diversity needs.
    """
    for name, amount in asked.items():
        if name == "prompts":
            rows = World(PROMPTS_SEED).prompts(amount, unseen=amount // 4)
            files.write_lines(folder / "prompts.jsonl", [row for row in rows for _ in range(asked.get("draws", 1))])
        elif name != "draws":
            draw_set(folder / name, amount)


def draw_set(folder: Path, amount: Mapping[str, int]) -> None:
    """A set of `needles` pictures with all five qualities and `haystack` pictures as the web has them."""
    if unknown := [stream for stream in amount if stream not in STREAMS]:
        raise UserError(f"world.{folder.name}: no stream {unknown[0]}; there are {' and '.join(STREAMS)}")
    if (folder / "metadata.jsonl").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    scenes = tqdm(_scenes(amount), desc=folder.name, unit="picture", total=sum(amount.values()))
    for i, scene in enumerate(scenes):
        scene.render().save(folder / f"{i:05d}.png")
        rows.append({"file_name": f"{i:05d}.png", "text": scene.caption})
    files.write_lines(folder / "metadata.jsonl", rows)


def _scenes(amount: Mapping[str, int]) -> Iterator[Scene]:
    world = World(PICTURES_SEED)
    for stream in STREAMS:
        draw = world.needle if stream == "needles" else world.haystack
        yield from map(draw, range(amount.get(stream, 0)))
