"""Stages: a run whose settings change at stated steps, as pre-training goes from 256 to 1024 pixels.

stages:
  - {steps: 300_000, data.resolution: 256}
  - {steps: 100_000, data.resolution: 512, data.batch_size: 16}

A stage is what the same command does from a checkpoint on: what it sets stands in place of the config's, up to its last
step. So a run that was killed goes on in the stage in which it was.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emu.errors import UserError

Setting = int | float | bool | str
STEPS = "steps"
OURS = ("quality.max_steps",)  # a stage's own length says it
SIZE = "data.resolution"


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
        return [*(f"--{key}={value}" for key, value in self.settings.items()), f"--quality.max_steps={self.ends}"]

    def __str__(self) -> str:
        said = ", ".join(f"{key} {value}" for key, value in self.settings.items())
        return f"stage {self.number} of {self.of}, up to step {self.ends:,}: {said}"


def stages_of(given: Sequence[Mapping[str, Any]]) -> list[Stage]:
    """As a config has them. UserError: one lasts no whole number of steps, or restarts lower than the one before."""
    found: list[Stage] = []
    for number, each in enumerate(given, 1):
        steps = each.get(STEPS)
        if not isinstance(steps, int) or steps < 1:
            raise UserError(f"stages: stage {number} lasts {steps} steps; give 1 or more")
        settings = {key: value for key, value in each.items() if key != STEPS}
        begins = found[-1].ends if found else 0
        if found:
            require_no_lower(number, found[-1].settings.get(SIZE), settings.get(SIZE))
        found.append(Stage(number, len(given), begins, begins + steps, settings))
    return found


def require_no_lower(number: int, before: Any, now: Any) -> None:
    """UserError where a stage restarts at a lower resolution than what was reached before it."""
    if before is not None and now is not None and int(now) < int(before):
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

    UserError: they are no list of mappings, or a stage sets what the command line does.
    """
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        raise UserError(f"{path}: stages is a list of mappings, such as [{{steps: 1000, {SIZE}: 256}}]")
    keys = list(dict.fromkeys(key for each in given for key in each if key != STEPS))
    for key in (*keys, *(OURS if given else ())):
        if key in flags:
            raise UserError(f"--{key}: the stages of {path} say it; change it there")
        if key in OURS and key in keys:
            raise UserError(f"{path}: stages: a stage says {key} as steps")
    return keys
