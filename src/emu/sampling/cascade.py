"""A cascade: one model draws small pictures, and each further one makes them larger. `emu sample` with `--then`.

    emu sample DeepFloyd/IF-I-M-v1.0 prompts.txt pictures --then DeepFloyd/IF-II-M-v1.0,noise_level=100
    emu sample DeepFloyd/IF-II-M-v1.0 runs/if-m runs/if-m-256     # all that `emu compare` reads of a run, made larger

Notable: a stage draws all prompts before the next one is loaded. So a device holds one model at a time, a killed call
goes on where it was, and the pictures in between lie in OUT/stage-1 ... They are handed on in 8 bits, as any pictures.
"""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from emu import starts
from emu.batch import Sampler
from emu.class_paths import named
from emu.compare.sides import steps_compared
from emu.errors import UserError
from emu.layouts import runs
from emu.layouts.quality_json import read_quality, write_quality
from emu.models.loading import find_model
from emu.module import TextToImageModule
from emu.module.settings import SIDES, require_drawable
from emu.planning.outline import Outline
from emu.sampling.sample import Plan, Stage, describe, draw_rows, require_ours, together
from emu.storage import documents
from emu.storage.records import read_json
from emu.storage.shapes import Row, ShippedStage
from emu.terminal.counted import an

STAGES = "stages.json"  # in an exported cascade: its stages, in the order in which they draw


def read_stage(given: str, *, flag: str) -> Stage:
    """`MODEL[,NAME=VALUE]...` of the command line, the settings as YAML has them."""
    model, *pairs = named.NEXT.split(given)
    texts = dict(pair.split("=", 1) for pair in pairs)
    return Stage(model, {key: documents.parse(text, where=f"{flag} {given}") for key, text in texts.items()})


def read_stages(given: Sequence[str], *, flag: str) -> list[Stage]:
    """The stages that flags name; one of `emu export` that is a whole cascade is all of its own."""
    return [stage for one in given for stage in unfolded(read_stage(one, flag=flag))]


def unfolded(stage: Stage) -> list[Stage]:
    """The stages of an exported cascade, else itself. UserError: a cascade, and settings that are of one model."""
    path = Path(stage.model) / STAGES
    if not path.is_file():
        return [stage]
    if stage.sampler or stage.loras or stage.architecture or stage.config or stage.vae:
        raise UserError(f"{stage.model}: a cascade, drawn as its {path.name} says; give settings to one stage")
    entries: list[ShippedStage] = read_json(path, list[ShippedStage], remedy="export the cascade again")
    return [Stage(str(path.parent / one["folder"]), _sampler(one)) for one in entries]


def _sampler(entry: ShippedStage) -> Sampler:
    apart = ("height", "width", "negative_prompt")
    return {name: value for name, value in entry["arguments"].items() if name not in apart}


def draw(stages: Sequence[Stage], plan: Plan, out: Path) -> None:
    """Draw what is planned into `out`, through one stage or several: 00000.png ... and samples.jsonl.

    Every stage is given the same prompts, and draws each picture with its own seed; those before the last one draw into
    folders of `out`. UserError, before anything is drawn: a stage that is not there, that takes no picture or none of
    the size that the one before draws, that has no such settings; `out` holds files that no earlier call drew.
    """
    require_ours(out)
    if len(stages) > 1:
        require_chain(stages, plan)
    with together():
        before: list[Row] = []
        for number, stage in enumerate(stages, start=1):
            folder = out if number == len(stages) else out / f"stage-{number}"
            before = _draw(stage, plan, folder, before, number)
            plan = replace(plan, rows=[_onward(row, folder) for row in plan.rows])


def require_chain(stages: Sequence[Stage], plan: Plan) -> None:
    """UserError where one of them cannot follow on the one before; no weights are read for it."""
    sizes: set[tuple[int, int]] = set()
    for number, stage in enumerate(stages, start=1):
        model = find_model(stage.model, architecture=stage.architecture, config=stage.config, vae=stage.vae)
        if number > 1 and not model.starts_from_picture:
            raise UserError(
                f"--then {stage.model}: {an(type(model).__name__)} draws from noise, and takes no picture of the stage "
                "before; put it first, and after --then what makes pictures larger"
            )
        Outline(model)
        model.sampler = {**model.sampler, **stage.sampler}
        model.check_sampler()
        try:
            sizes = _first(model, plan) if number == 1 else {model.enlarged(*size) for size in sizes}
        except UserError as error:
            raise UserError(f"{'--then ' if number > 1 else ''}{stage.model}: {error}") from None


def draw_run(stages: Sequence[Stage], run: Path, out: Path, *, limit: int = 0, batch_size: int = 16) -> None:
    """Make the pictures larger that `emu compare` reads of a run, before and after; `out` becomes a run to compare.

    Both sides go through the same stages, so that they differ by what the run tuned alone.
    """
    if not find_model(stages[0].model, architecture=stages[0].architecture).starts_from_picture:
        raise UserError(f"{run}: a run, whose pictures are made larger; {stages[0].model} starts from none")
    quality = read_quality(run)
    with together() as (rank, _, _):
        for step in steps_compared(run, quality):
            plan = Plan.read(runs.step_folder(run, step), limit=limit, batch_size=batch_size)
            draw(stages, plan, runs.step_folder(out, step))
        if rank == 0:
            # Neither judges nor checks: what they say is of the small pictures.
            write_quality(out, replace(quality, name=out.resolve().name, judges={}, headline={}, checks=[]))
            if (run / runs.CONFIG).is_file():
                shutil.copyfile(run / runs.CONFIG, out / runs.CONFIG)


def _first(model: TextToImageModule, plan: Plan) -> set[tuple[int, int]]:
    """The sizes of what the first stage draws, as far as they are known before."""
    if model.starts_from_picture:
        require_drawable(model, plan.rows, where=str(plan.prompts))
        return {model.enlarged(*reversed(starts.read(row).size)) for row in plan.rows}
    sides = [[int(row.get("settings", {}).get(side) or model.resolution or 0) for side in SIDES] for row in plan.rows]
    return {(height, width) for height, width in sides if height and width}


def _draw(stage: Stage, plan: Plan, out: Path, before: list[Row], number: int) -> list[Row]:
    """One stage, in rows that say what was drawn `before`; its model is let go of."""
    drawer = stage.load()
    require_drawable(drawer, plan.rows, where=str(plan.prompts))
    rows = describe(drawer, plan.rows, model=stage.name)
    if before:
        rows = [_after(row, one, number - 1) for row, one in zip(rows, before, strict=True)]
    draw_rows(drawer, plan, out, rows)
    return rows


def _onward(row: Row, folder: Path) -> Row:
    """What the next stage is asked for: settings of the one before are not its own, but for what it leads away from."""
    asked = {name: value for name, value in row.items() if name != "settings"}
    negative = row.get("settings", {}).get("negative_prompt")
    settings = {"settings": {"negative_prompt": negative}} if negative else {}
    return {**asked, **settings, starts.COLUMN: str(folder / runs.picture_name(row["index"]))}


def _after(row: Row, before: Row, stage: int) -> Row:
    """A row of samples.jsonl that says what `stage` before it drew by: with other settings it is another picture."""
    # Names of the pipelines' arguments have no space; those of earlier stages have their stage before them.
    earlier = {name if " " in name else f"stage-{stage} {name}": value for name, value in before["sampler"].items()}
    return {
        **row,
        starts.COLUMN: f"stage-{stage}/{before['file']}",
        "model": f"{before['model']}, then {row['model']}",
        "sampler": {**earlier, **row["sampler"]},
    }
