"""What the demo's models can draw: how often the world's reader sees in a picture what its prompt asks for."""

from pathlib import Path

from PIL import Image
from torch import Tensor

from emu import runs
from emu.aligned import aligned
from emu.judges.preprocessing import to_tensor
from emu.judges.world import ATTRIBUTES, WorldFaithfulness
from emu.world import named


def table(folders: list[Path]) -> str:
    """A line a run and side: of its prompts, the percentage whose kind, colour, place and time are read.

    Each run as it was before tuning and at the step that is compared; kinds of "unseen" prompts are in no needle.
    """
    columns = [*ATTRIBUTES, "unseen"]
    rows = [["", *columns]]
    judge = WorldFaithfulness()
    for folder in folders:
        best = runs.read_quality(folder).get("best_step") or runs.complete_steps(folder)[-1]
        for side, step in (("before", 0), ("after", best)):
            shares = read_right(runs.step_folder(folder, step), judge)
            rows.append([f"{folder.name} {side}", *(f"{100 * shares[name]:.1f}" for name in columns)])
    return "\n".join(["what is read in the pictures, % of the prompts that ask for it", *aligned(rows)])


def read_right(folder: Path, judge: WorldFaithfulness) -> dict[str, float]:
    """Attribute -> the share of the folder's pictures in which it is read as asked; "unseen": kinds of that group."""
    rows = runs.read_samples(folder)
    read = [judge.read([pixels(folder / row["file"])])[0] for row in rows]
    right: dict[str, list[bool]] = {name: [] for name in (*ATTRIBUTES, "unseen")}
    for row, values in zip(rows, read, strict=True):
        for name, asked in named(row["prompt"]).items():
            right[name].append(values[name] == asked)
        if row.get("group") == "unseen":
            right["unseen"].append(right["kind"][-1])
    return {name: sum(found) / len(found) if found else float("nan") for name, found in right.items()}


def pixels(path: Path) -> Tensor:
    """float (3,h,w) in [0,1]"""
    with Image.open(path) as picture:
        return to_tensor(picture.convert("RGB"))
