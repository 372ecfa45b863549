"""Stages: a run whose settings change at stated steps, as pre-training goes from 256 to 1024 pixels.

stages:
  - {steps: 300_000, data.resolution: 256}
  - {steps: 100_000, data.resolution: 512, data.batch_size: 16}

A stage is what the same command does from a checkpoint on: what it sets stands in place of the config's, up to its last
step. So a run that was killed goes on in the stage in which it was.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emu.errors import UserError

Setting = int | float | bool | str | list[int | float | bool | str] | None
STEPS = "steps"
OURS = ("quality.max_steps",)  # a stage's own length says it
SIZE = "data.resolution"
# What every check is held against was drawn and judged with these, and moments are one kind of optimizer's.
OF_STEP_0 = (
    "model.class_path",
    "model.init_args.pretrained",
    "model.init_args.config",
    "model.init_args.vae",
    "model.init_args.base_dtype",
    "model.init_args.sampler",
    "model.init_args.optimizer.class_path",
    "data.prompts",
    "data.num_prompts",
    "data.seed",
    "quality.appeal",
    "quality.faithfulness",
)
OF_ALL = (
    *OF_STEP_0,
    "seed_everything",
    "ckpt_path",
    "resume",
    "stages",
    "trainer.default_root_dir",
    "trainer.max_steps",
    "trainer.logger",
    "model.init_args.adapter",
    "model.init_args.loras",
    "data.stream",
    "data.held_out",
)


@dataclass(frozen=True)
class Stage:
    """One of `of`, counted from 1, from step `begins` up to step `ends`; `settings` are keys of a config."""

    number: int
    of: int
    begins: int
    ends: int
    settings: Mapping[str, Setting]

    @property
    def flags(self) -> list[str]:
        """As arguments of the command."""
        given = [f"--{key}={_word(value)}" for key, value in self.settings.items()]
        return [*given, f"--quality.max_steps={self.ends}"]

    def __str__(self) -> str:
        said = ", ".join(f"{key} {value}" for key, value in self.settings.items())
        return f"stage {self.number} of {self.of}, up to step {self.ends:,}: {said}"


def _word(value: Setting) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def stages_of(given: Sequence[Mapping[str, Any]], *, resolution: int | None = None) -> list[Stage]:
    """As a config has them; `resolution` is that of a stage that sets none.

    UserError: one lasts no whole number of steps, or restarts lower than the one before.
    """
    found: list[Stage] = []
    before = None
    for number, each in enumerate(given, 1):
        steps = each.get(STEPS)
        if type(steps) is not int or steps < 1:
            raise UserError(f"stages: stage {number} lasts {steps} steps; give 1 or more")
        settings = {key: value for key, value in each.items() if key != STEPS}
        begins = found[-1].ends if found else 0
        require_no_lower(number, before, now := settings.get(SIZE, resolution))
        before = now
        found.append(Stage(number, len(given), begins, begins + steps, settings))
    return found


def require_no_lower(number: int, before: Any, now: Any) -> None:
    """UserError where a stage restarts at a lower resolution than what was reached before it, or at none."""
    if now is not None and type(now) is not int:
        raise UserError(f"stages: stage {number} has {SIZE} {now}; give a side in pixels")
    if before is not None and now is not None and now < before:
        raise UserError(
            f"stages: stage {number} restarts at {SIZE} {now}, lower than the {before} before it; a model forgets what "
            "it is not shown: order them from low to high"
        )


def stage_at(step: int, stages: Sequence[Stage]) -> Stage:
    """The one in which a run goes on that has taken `step` steps; the last one where all are over."""
    return next((stage for stage in stages if step < stage.ends), stages[-1])


def settings_of(document: Mapping[str, Any]) -> set[str]:
    """The keys that any stage of a config sets, and those that follow from them."""
    found = {key for stage in document.get("stages") or () for key in stage if key != STEPS}
    return found | ({"model.init_args.resolution"} if SIZE in found else set())


def require_keys(given: Any, *, path: str, flags: Sequence[str]) -> list[str]:
    """The keys of the stages in a config, for who knows which there are.

    UserError: they are no list of mappings, or a stage sets what the command line does, or what is one for all of them.
    """
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        raise UserError(f"{path}: stages is a list of mappings, such as [{{steps: 1000, {SIZE}: 256}}]")
    keys = list(dict.fromkeys(key for each in given for key in each if key != STEPS))
    if inner := [key for each in given for key, value in each.items() if isinstance(value, dict)]:
        raise UserError(f"{path}: stages: {inner[0]} is a mapping; set what is below it by itself, as {inner[0]}.KEY")
    short = {_short(flag) for flag in flags}
    for key in (*keys, *(OURS if given else ())):
        if any(f"{_short(key)}.".startswith(f"{_short(each)}.") for each in OF_ALL):
            raise UserError(f"{path}: stages: {key} is one for the whole run; set it outside of them")
        if _short(key) in short:
            raise UserError(f"--{key}: the stages of {path} say it; change it there")
        if key in OURS and key in keys:
            raise UserError(f"{path}: stages: a stage says {key} as steps")
    return keys


def _short(key: str) -> str:
    """As flags may have it too: `model.noise_offset`."""
    return key.replace(".init_args", "")
