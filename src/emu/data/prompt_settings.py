"""How one prompt is drawn, as its line says it: under which names settings come, and what they may be.

What emu cannot do is refused, with the line and the reason: a setting that is passed over would draw another picture
than the one that was asked for. Flags in a line are those of kohya's sd-scripts: `a boat --n blurry --w 512 --d 42`.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from emu.errors import UserError
from emu.storage.shapes import Row

NAMES = {  # as the settings are kept -> further names that other trainers and galleries give them
    "seed": (),
    "negative_prompt": ("negative",),
    "width": (),
    "height": (),
    "num_inference_steps": ("steps", "step", "sample_steps", "diffusion_steps", "inference_steps"),
    "cfg_scale": ("cfg", "scale"),  # the pipeline's own name of it is the model's to say
    "guidance_scale": ("guidance",),
}
KNOWN = {name: kept for kept, others in NAMES.items() for name in (kept, *others)}
FLAGS = {"n": "negative_prompt", "w": "width", "h": "height", "d": "seed", "s": "num_inference_steps", "l": "cfg_scale"}
FLAGS |= {"g": "guidance_scale", **KNOWN}
WHOLE = {"seed": 0, "width": 1, "height": 1, "num_inference_steps": 1}  # the least
SCHEDULER = "the scheduler is the one in the model's folder"
REFUSED = {  # what others take beside a prompt and emu does not -> why
    **dict.fromkeys(("sampler", "sampler_name", "scheduler", "sample_sampler", "noise_scheduler"), SCHEDULER),
    **dict.fromkeys(("cfgs", "size"), "one number a setting: cfg_scale, width, height"),
    **dict.fromkeys(("adapter_strength", "lora", "loras"), "the model draws as it is"),
    "random_seed": "a check draws one seed again and again",
    "random_caption": "a check draws one prompt again and again",
    **dict.fromkeys(("controlnet_image", "ctrl_img", "image_path", "base_image_path"), "prompts are drawn from noise"),
}
FLAG = re.compile(r"(?:^|\s)--(?=[a-z])", re.IGNORECASE)


def split_flags(line: str, *, where: str) -> Row:
    """`a boat --n blurry --d 42` -> prompt, negative_prompt, seed. UserError: a flag that emu does not know."""
    prompt, *flags = FLAG.split(line.strip())
    if not prompt:
        raise UserError(f"{where}: has settings and no prompt; a prompt and its settings stand in one line")
    row: Row = {"prompt": prompt.strip()}
    for flag in flags:
        name, value = (*flag.split(None, 1), "")[:2]
        kept = FLAGS.get(name.lower().replace("-", "_"))
        if kept is None:
            raise UserError(
                f"{where}: --{name} is no setting of a prompt, which are "
                f"{', '.join(f'--{one}' for one in FLAGS if len(one) == 1)}; a prompt that holds -- goes into a .jsonl"
            )
        if kept in row:
            raise UserError(f"{where}: {kept} is given twice")
        if not value and kept != "negative_prompt":
            raise UserError(f"{where}: --{name} has no value")
        row[kept] = value.strip()
    return row


def take_settings(row: Row, *, where: str) -> Row:
    """Move what a row says of its drawing out of it: kept name -> value; empty cells say nothing."""
    # A row of samples.jsonl has a mapping of settings, in the pipeline's own words.
    sampler: Mapping[str, Any] = row.pop("sampler") if isinstance(row.get("sampler"), Mapping) else {}
    settings: Row = {name: value for name, value in sampler.items() if name not in KNOWN}
    row |= {name: value for name, value in sampler.items() if name in KNOWN}
    for name in list(row):
        plain, given = name.strip().lower().replace("-", "_").replace(" ", "_"), row[name]
        if plain in KNOWN:
            value = _value(KNOWN[plain], row.pop(name), where=where)
            if value is not None and settings.setdefault(KNOWN[plain], value) != value:
                raise UserError(f"{where}: {KNOWN[plain]} is given twice")
        elif plain in REFUSED and given not in (None, "", False):
            raise UserError(f"{where}: {name} {given!r:.40}: {REFUSED[plain]}; take it out")
    return settings


def _value(name: str, given: Any, *, where: str) -> Any:
    if given is None or given == "":
        return None
    if name == "negative_prompt":
        if not isinstance(given, str):
            raise UserError(f"{where}: negative_prompt {given!r:.40}: give a text")
        return given
    try:
        number = float(given) if not isinstance(given, bool) else math.nan
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    least = WHOLE.get(name, 0)
    if not (least <= number < 2**63) or (name in WHOLE and number != int(number)):
        kind = f"a whole number, {least} or more" if name in WHOLE else "a number, 0 or more"
        raise UserError(f"{where}: {name} {given!r:.40}: give {kind}, or leave it out")
    return int(given if isinstance(given, int) or str(given).isdigit() else number) if name in WHOLE else number
