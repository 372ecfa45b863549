"""How the prompts of one batch are drawn: the settings of their lines over those of the model.

Settings are the pipeline's own arguments, but for `width`, `height`, `negative_prompt` and `cfg_scale`, which every
pipeline has under one name or another.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from emu import starts
from emu.batch import Prompts, Sampler
from emu.errors import UserError
from emu.module import asked
from emu.module.architecture import Architecture

GUIDANCE, TRUE_GUIDANCE = "guidance_scale", "true_cfg_scale"  # the latter where the former is a distilled model's input
SIDES = ("height", "width")


def draw(model: Architecture, batch: Prompts) -> Tensor:
    """One picture a prompt, float32 (b,3,h,w) in [0,1], none of which depends on its batch.

    Args:
        model: on the device that draws.
        batch: `prompt` list[str] and `seed` int (b,); `settings` of all of them and `negative` list[str] where the
            prompt file says so; `columns`, where the model starts from a picture.
    """
    negatives = batch.get("negative", [])
    negative = model.encode(negatives, negative=True) if any(negatives) else model.negative_prompt()
    sampler, own = drawn_with(model, batch.get("settings", {})), model.sampler
    sides = {side: int(given) for side in SIDES if (given := sampler.pop(side, 0))}
    model.sampler = sampler
    try:
        cond = model.encode(batch["prompt"])
        if model.starts_from_picture:
            cond["image"] = starts.of_rows(batch["columns"]).to(model.device)
        with model.encoders_aside():
            images = model.sample(cond, negative, batch["seed"], **sides)
        return asked.drawn(model, images, len(batch["prompt"]))
    finally:
        model.sampler = own


def require_drawable(model: Architecture, rows: Iterable[Mapping[str, Any]], *, where: str) -> None:
    """UserError, naming the prompt, where the model cannot draw as a row of `load_prompts` says."""
    for row in rows:
        settings = row.get("settings")
        if settings or model.starts_from_picture:
            try:
                _require(model, settings or {})
                if model.starts_from_picture:
                    _require_start(model, row, settings or {})
            except UserError as error:
                raise UserError(f"{where}: prompt {row['index'] + 1}, {row['prompt']!r:.60}: {error}") from None


def drawn_with(model: Architecture, settings: Sampler) -> Sampler:
    """The model's sampler with a prompt's settings over it, in the pipeline's words. UserError: two guidances."""
    given = {name: value for name, value in settings.items() if name != "cfg_scale"}
    if "cfg_scale" in settings:
        name = _guidance(model)
        if given.setdefault(name, settings["cfg_scale"]) != settings["cfg_scale"]:
            raise UserError(f"cfg_scale {settings['cfg_scale']:g} is this pipeline's {name}, given as {given[name]:g}")
    return {**model.sampler, **given}


def _guidance(model: Architecture) -> str:
    return TRUE_GUIDANCE if TRUE_GUIDANCE in model.sampler_names() else GUIDANCE


def _require(model: Architecture, settings: Sampler) -> None:
    sampler = drawn_with(model, settings)
    if unknown := sampler.keys() - model.sampler_names() - {*SIDES, "negative_prompt"}:
        raise UserError(f"{type(model).__name__} has no {min(unknown)}; take it out")
    height, width = (int(settings.get(side) or model.resolution or 0) for side in SIDES)
    if height and width and not model.starts_from_picture:
        model.check_size(height, width)
    name = _guidance(model)
    if not settings.get("negative_prompt"):
        return
    if math.isinf(model.guides_above):
        raise UserError(f"{type(model).__name__} draws without a negative prompt; take it out")
    if float(sampler.get(name, 1 if name == TRUE_GUIDANCE else 2)) <= model.guides_above:
        raise UserError(f"a negative prompt does nothing at {name} {sampler.get(name, 1):g}; raise it, or take it out")


def _require_start(model: Architecture, row: Mapping[str, Any], settings: Sampler) -> None:
    picture = starts.read(row)
    height, width = (int(settings.get(side, 0)) or None for side in SIDES)
    model.enlarged(picture.height, picture.width, height=height, width=width)
