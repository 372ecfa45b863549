"""A cascade as one folder: a pipeline folder a stage, and a script that draws with them in plain diffusers.

emu export runs/if-m my-cascade --then DeepFloyd/IF-II-M-v1.0 --then stabilityai/stable-diffusion-x4-upscaler

Notable: the field ships cascades as pipelines side by side and lines that call them (DeepFloyd IF, Imagen's kin); a
pipeline class of our own would have to be trusted as code of the folder's, by whoever loads it.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from emu.bundled import resolve
from emu.card.markdown import code
from emu.errors import UserError
from emu.exporting import readme
from emu.exporting.draw import draw
from emu.exporting.export import Reference, difference, export, require_apart
from emu.formats import in_diffusers
from emu.layouts import runs
from emu.models.loading import find_checkpoint, find_model, is_of_a_run
from emu.module import TextToImageModule
from emu.pipeline_folders import components, folders
from emu.sampling import cascade
from emu.sampling.sample import Plan, Stage
from emu.storage import files
from emu.storage.shapes import ShippedStage

SCRIPT = Path(__file__).with_name("draw.py")
PROMPT, SEED = "a picture", 0


@dataclass(frozen=True)
class Shipped:
    """A stage that was written: what `draw.py` calls it by, and what a reader asks."""

    entry: ShippedStage
    said: str
    licence: str | None


def ship(stages: Sequence[Stage], out: Path) -> int:
    """Write every stage, prove that plain diffusers draws from them what emu draws, and say how far it is apart.

    Returns the largest difference in 8-bit levels. UserError: `out` holds something else, or what a stage is read
    from; a stage cannot follow; what was written draws another picture.
    """
    if out.exists() and not (out / cascade.STAGES).is_file():
        raise UserError(f"{out}: holds something other than a cascade; name another folder")
    for stage in stages:
        run = runs.run_of(find_checkpoint(Path(stage.model))) if is_of_a_run(stage.model) else None
        require_apart(out, run or Path(resolve(stage.model)), find_model(stage.model))
    plan = Plan([{"prompt": PROMPT, "seed": SEED, "index": 0}], out)
    cascade.require_chain(stages, plan)
    with folders.replacing(out) as target:
        shipped = [_write(stage, target / f"stage-{number}") for number, stage in enumerate(stages, start=1)]
        files.write_json(target / cascade.STAGES, [one.entry for one in shipped], indent=2)
        files.write(target / SCRIPT.name, SCRIPT.read_bytes())
        files.write(target / readme.NAME, _readme(out, shipped).encode())
        with tempfile.TemporaryDirectory() as drawn:
            cascade.draw(stages, plan, Path(drawn))
            wanted = np.asarray(Image.open(Path(drawn) / runs.picture_name(0)))
        found = np.asarray(draw(PROMPT, seed=SEED, folder=target, bare=True))
        return difference(found, Reference(plan.rows[0], wanted, "what emu draws"), out=out)


def _write(stage: Stage, folder: Path) -> Shipped:
    model = stage.load()
    if is_of_a_run(stage.model):
        export(Path(stage.model), folder)
    else:
        model.save_pipeline(folder)
        if (origin := model.folder / folders.MODEL).is_file():
            files.write(folder / folders.MODEL, origin.read_bytes())
    return Shipped(_entry(model, folder), _said(model, folder), model.licence)


def _entry(model: TextToImageModule, folder: Path) -> ShippedStage:
    given = {name: value for name, value in model.plain_arguments(PROMPT).items() if name != "prompt"}
    side = None if model.starts_from_picture else model.resolution
    kind, index = model.pipeline_class, folders.read_index(folder)
    left_out = components.left_out(kind, index)
    not_there = readme.not_there(model, folder)
    return {
        "folder": folder.name,
        "pipeline": None if in_diffusers(kind) else f"{kind.__module__}.{kind.__qualname__}",
        "arguments": {**given, **model.size_arguments(side, side)},
        "left_out": {name: value for name, value in left_out.items() if name not in not_there},
        "not_there": not_there,
        "attributes": model.size_attributes(side, side) if side else {},
        "modules": components.modules(index),
        "factor": model.factor,
        "sized": bool(model.size_arguments(1, 1)),
    }


def _said(model: TextToImageModule, folder: Path) -> str:
    base = readme.named(model.pretrained)
    return f"| {code(folder.name)} | {model.pipeline_class.__name__} | {code(base)} | {model.licence or 'not known'} |"


def _readme(out: Path, shipped: Sequence[Shipped]) -> str:
    licences = list(dict.fromkeys(one.licence for one in shipped))
    known = " and ".join(one for one in licences if one) if all(licences) else None
    head = {"library_name": "diffusers", "pipeline_tag": "text-to-image", **readme.front(known)}
    table = ["| Stage | Pipeline of diffusers | Base | Licence |", "|---|---|---|---|", *(one.said for one in shipped)]
    return (
        f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n\n# {out.resolve().name}\n\n"
        "Each stage draws from the prompt, and those after the first from the picture of the one before:\n"
        '`python draw.py "a red boat at noon" picture.png --seed 7`, or one `DiffusionPipeline.from_pretrained`\n'
        "after the other with the arguments in `stages.json`.\n\n" + "\n".join(table) + "\n"
    )
