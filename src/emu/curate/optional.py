"""Stages that a config can do without: left out where what they need is not on this machine, and named."""

from typing import Any

from emu.curate.config import Funnel, Step
from emu.curate.stage import Selection
from emu.errors import UserError


def without_missing(document: dict[str, Any]) -> dict[str, Any]:
    """The config without those of its `optional` stages that cannot run here, or that need the columns of such.

    What ranks or cuts by several columns goes on with those that are there. `missing` says which stages are left out,
    and why.

    Raises:
        UserError: a stage that is not optional cannot run.
    """
    funnel = Funnel(document)
    missing: dict[str, str] = {}
    gone = set[str]()
    for step in funnel.steps:
        if not step.optional:
            step.stage.require()
        elif why := _cannot_run(step, gone):
            missing[step.stage.name] = why
            gone |= step.stage.columns.keys()
    if not missing:
        return document
    stays = [_without(step.given, gone) for step in funnel.steps if step.stage.name not in missing]
    budget = document.get("budget")
    stages = stays[:-1] if budget else stays
    return {**document, "stages": stages, "missing": missing} | ({"budget": _budget(budget, gone)} if budget else {})


def _cannot_run(step: Step, gone: set[str]) -> str | None:
    stage = step.stage
    if isinstance(stage, Selection) and (needs := gone & (set(stage.reads) - set(stage.numbers))):
        return f"no stage measures {', '.join(sorted(needs))}"
    try:
        stage.require()
    except UserError as error:
        return str(error).removeprefix(f"stage {stage.name}: ")
    return None


def _without(given: dict[str, Any], gone: set[str]) -> dict[str, Any]:
    """A stage that ranks by columns, by those that are there."""
    by = (given.get("init_args") or {}).get("by")
    if not isinstance(by, dict):
        return given
    return {**given, "init_args": {**given["init_args"], "by": {name: by[name] for name in by if name not in gone}}}


def _budget(budget: dict[str, Any], gone: set[str]) -> dict[str, Any]:
    by = [name for name in budget.get("by", []) if name not in gone]
    if budget.get("number") and not by:
        raise UserError(
            f"--budget: cuts by {', '.join(budget['by'])}, which no stage measures here; see what is missing"
        )
    column = budget.get("column")
    return {**budget, "by": by, "column": None if column in gone else column}
