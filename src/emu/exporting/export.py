"""Checkpoint -> what other programs load, and the proof that plain diffusers draws from it what the run drew.

emu export runs/sdxl my-sdxl
emu export runs/sdxl-lora my-style.safetensors --format lora
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline
from numpy.typing import NDArray
from PIL import Image

from emu import answers, starts
from emu.batch import Prompts
from emu.bundled import resolve
from emu.drawn import is_black, on_white, to_pixels
from emu.errors import UserError
from emu.exporting import readme
from emu.formats import Format
from emu.formats.folder import PipelineFolder
from emu.formats.header import data_licences, story
from emu.layouts import runs
from emu.loras.file import LoRAFile
from emu.models.loading import describe, find_checkpoint, load_checkpoint, read_checkpoint, read_config
from emu.module import TextToImageModule
from emu.module.settings import draw
from emu.pipeline_folders import components, folders
from emu.storage import files
from emu.storage.shapes import Arguments, Config, Row

LIMIT = 2.0
"""Mean difference in 8-bit levels that two kernels may make of one picture; another picture is tens away."""

DTYPES = ("weights_dtype", "base_dtype", "encoders_dtype")  # of a model: what it holds its weights in

DRAWN_NOW: Row = {"prompt": "a picture", "seed": 0}

Pixels = NDArray[np.uint8]


@torch.no_grad()
def export(checkpoint_or_run: Path, out: Path, written_as: Format | None = None) -> int:
    """Write the averaged weights and draw one of the run's pictures with them in plain diffusers.

    Args:
        checkpoint_or_run: a run folder, whose best checkpoint is taken, or one of its checkpoints.
        out: the folder or file to write; what is there already goes if it is of the same kind.
        written_as: the format; a pipeline folder where None.

    Returns the largest difference to the run's picture in 8-bit levels; where the run drew none at that step, or with
    rounded weights, or where the export rounds them, to what the model draws before it is saved. Raises UserError where
    the mean difference is above LIMIT.
    """
    written_as = written_as or PipelineFolder()
    checkpoint = find_checkpoint(checkpoint_or_run)
    config, model = read_config(runs.run_of(checkpoint)), load_checkpoint(checkpoint, original=True)
    require_apart(out, runs.run_of(checkpoint), model)
    written_as.check(model, out)
    step = int(read_checkpoint(checkpoint)["global_step"])
    # What says that an export wrote a folder appears with it: without, the next export would take it for another's.
    with folders.replacing(out) if isinstance(written_as, PipelineFolder) else nullcontext(out) as place:
        written_as.write(model, place, story(runs.run_of(checkpoint), step, model))
        if not place.exists():
            raise UserError(f"{answers.name_of(written_as)}.write wrote no {out}")
        if place.is_dir():
            files.write_json(place / folders.MODEL, describe(config, model), indent=2)
    if out.is_dir():
        files.write(out / readme.NAME, readme.text(model, out, step=step, of_pictures=data_licences(config)).encode())
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with autocast(config.get("trainer", {}).get("precision"), device):
        wanted = None if computed_apart(config) else of_the_run(checkpoint, model)
        wanted = wanted or of_the_model(model, device, DRAWN_NOW | {"sampler": model.sampler})
        if model.beyond_plain & wanted.row["sampler"].keys():
            model.sampler = model.plain_sampler(model.sampler)
            plain = model.plain_sampler(wanted.row["sampler"])
            wanted = of_the_model(model, device, {**wanted.row, "sampler": plain})
        if written_as.dtype is not None:
            wanted = of_the_model(rounded(model, written_as.dtype), device, wanted.row)
        pipeline = written_as.load(model, out)
        if not isinstance(pipeline, DiffusionPipeline):
            raise answers.refuse(written_as, "load", pipeline, "the pipeline of diffusers that draws from it")
        read_as_held(pipeline, device)
        drawn = draw_plain(pipeline, wanted.row, model, device)
    found = difference(drawn, wanted, out=out)
    height, width = drawn.shape[:2]
    size = {"width": width, "height": height}
    written_as.accompany(model, out, {**wanted.row, "sampler": {**wanted.row["sampler"], **size}}, pipeline)
    return found


def require_apart(out: Path, given: Path, model: TextToImageModule) -> None:
    """UserError where what is written would take the place of the run or folder, or of something that it is made of."""
    named = [model.pretrained, model.config, model.vae, *(str(LoRAFile(given).path) for given in model.loras)]
    sources = [given, model.folder, *(Path(resolve(one)) for one in named if one)]
    place = out.resolve()
    for source in sources:
        if source.exists() and place in (source.resolve(), *source.resolve().parents):
            raise UserError(f"{out}: holds {source}, which is read for it; name another place")


@dataclass(frozen=True)
class Reference:
    """What to draw, how it should look, and where that is from."""

    row: Row
    pixels: Pixels
    origin: str


def of_the_run(checkpoint: Path, model: TextToImageModule) -> Reference | None:
    """The first picture of the step that is not black; None where the run drew none, or what it was made of is gone."""
    folder = runs.step_folder(runs.run_of(checkpoint), read_checkpoint(checkpoint)["global_step"])
    if not (folder / runs.SAMPLES).exists():
        return None
    rows = runs.read_samples(folder)
    row = next((one for one in rows if not is_black(folder / one["file"])), rows[0])
    path = folder / row["file"]
    if model.starts_from_picture and not Path(str(row.get(starts.COLUMN))).is_file():
        return None
    return Reference(row, np.asarray(Image.open(path)), str(path))


def of_the_model(model: TextToImageModule, device: torch.device, row: Row) -> Reference:
    """A picture that is drawn now."""
    if model.starts_from_picture and starts.COLUMN not in row:
        side = model.start_side
        row = {**row, starts.COLUMN: Image.effect_mandelbrot((side, side), (-2, -1.5, 1, 1.5), 50)}
    model.to(device)
    settings = {**row["sampler"]}
    negative = str(settings.pop("negative_prompt", ""))
    batch: Prompts = {"prompt": [row["prompt"]], "seed": torch.tensor([row["seed"]]), "index": torch.zeros(1)}
    batch["columns"] = [row]
    images = draw(model, {**batch, "settings": settings, "negative": [negative]})
    pixels = to_pixels(images, [row["prompt"]])[0].permute(1, 2, 0).cpu().numpy()
    model.to("cpu")
    return Reference(row, pixels, "the model before it was saved")


def rounded(model: TextToImageModule, dtype: torch.dtype) -> TextToImageModule:
    """The model with the weights that a file of this dtype has."""
    for part in model.networks().values():
        part.to(dtype).float()
    return model


def difference(drawn: Pixels, wanted: Reference, *, out: Path) -> int:
    """The largest, in 8-bit levels. UserError: it proves nothing, or the pictures are not the same."""
    if drawn.max() == 0 and wanted.pixels.max() == 0:
        raise UserError(
            f"{out}: its picture of {wanted.row['prompt']!r} is black, as {wanted.origin} is, which proves nothing"
        )
    if drawn.shape != wanted.pixels.shape:
        raise UserError(f"{out}: draws pictures of shape {drawn.shape}, and {wanted.origin} has {wanted.pixels.shape}")
    levels = np.abs(drawn.astype(int) - wanted.pixels.astype(int))
    if levels.mean() > LIMIT:
        raise UserError(
            f"{out}: its picture is {levels.mean():.1f} levels from {wanted.origin} on average, more than {LIMIT:g}; "
            "export on the kind of device that the run was on, or draw both and compare them"
        )
    return int(levels.max())


def draw_plain(pipeline: Any, row: Row, model: TextToImageModule, device: torch.device) -> Pixels:
    """One picture by diffusers alone: uint8 (h,w,3)."""
    pipeline.to(device)
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(row["seed"])
    start = {"image": starts.read(row)} if model.starts_from_picture else {}
    arguments = {**model.plain_arguments(row["prompt"]), **sides(model, pipeline, start), **row["sampler"], **start}
    drawn = pipeline(**arguments, generator=generator, output_type="np")
    image = torch.from_numpy(drawn[0][0]).permute(2, 0, 1)
    return to_pixels(on_white(image[None]), [row["prompt"]])[0].permute(1, 2, 0).numpy()


def read_as_held(pipeline: Any, device: torch.device) -> None:
    """Text encoders compute in what they are held in, as those of a run do, whatever the rest computes in."""
    for part in pipeline.components.values():
        if components.is_encoder(type(part)):
            part.forward = torch.autocast(device.type, enabled=False)(part.forward)


def sides(model: TextToImageModule, pipeline: Any, start: Mapping[str, Image.Image]) -> Arguments:
    """What a plain pipeline's call is given for the size, where it takes one: of a picture, or the model's own."""
    height = width = model.resolution
    if picture := start.get("image"):
        height, width = model.enlarged(picture.height, picture.width)
    if height and width:
        model.allow_size(pipeline, height, width)
    return model.size_arguments(height, width)


def computed_apart(config: Config) -> bool:
    """Whether a run drew with weights in bfloat16 (`emu.sharding` too) or in 4 bits, which is not done here.

    A last bit decides which token a masked model draws, so its pictures then differ by more than rounding.
    """
    strategy = config.get("trainer", {}).get("strategy")
    halves = isinstance(strategy, dict) and (strategy.get("init_args") or {}).get("compute_dtype") == "bfloat16"
    given = config["model"].get("init_args") or {}
    return halves or any(given.get(name) not in (None, "float32") for name in DTYPES)


def autocast(precision: object, device: torch.device) -> AbstractContextManager[Any]:
    """The precision in which the run drew its pictures."""
    kinds = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
    return torch.autocast(device.type, kinds[precision]) if precision in kinds else nullcontext()
