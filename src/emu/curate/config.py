"""The funnel that a config describes: its stages, made and checked, in the order in which pictures go through them."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from emu import answers
from emu.class_paths import named, trust
from emu.curate.document import Config, Data, StageConfig, schema
from emu.curate.fetch import Fetch
from emu.curate.stage import Row, Selection, Stage, Value
from emu.curate.stages.readable import Readable
from emu.errors import UserError

SHARD = 256  # pictures: what a killed worker has to do again
VERSION = 5  # of what a shard holds: shards of another one are not gone on with


@dataclass(frozen=True)
class Step:
    """A stage with its entry in the config: what leaves, and why."""

    stage: Stage
    config: StageConfig

    @property
    def limited(self) -> list[str]:
        """The columns that have a limit."""
        return list(dict.fromkeys((*(self.config.at_least or {}), *(self.config.at_most or {}))))

    def verdict(self, row: Row) -> str | None:
        """Why a picture leaves here, None if it stays. What is no number meets no limit."""
        for column, least in (self.config.at_least or {}).items():
            if not _number(row[column]) >= least:
                return f"{column} {_shown(row[column])} is below {least:g}"
        for column, most in (self.config.at_most or {}).items():
            if not _number(row[column]) <= most:
                return f"{column} {_shown(row[column])} is above {most:g}"
        return None

    def cannot_run(self, gone: set[str]) -> str | None:
        """What it lacks on this machine, where the columns `gone` are not measured."""
        stage = self.stage
        if isinstance(stage, Selection) and (needs := gone & (set(stage.reads) - set(stage.numbers))):
            return f"no stage measures {', '.join(sorted(needs))}"
        try:
            stage.require()
        except UserError as error:
            return str(error).removeprefix(f"stage {stage.name}: ")
        return None


class Funnel:
    """The steps of a config, ready to measure. To another process it travels as its config: models need not.

    Stages that look at all pictures at once come after those that look at one at a time, wherever the config has them:
    so whoever wins there is not taken out later, and its twin with it.

    Args:
        document: the config as its YAML has it.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        config = Config.of(document)
        self.data, self.fetch = config.data or Data(), config.fetch or Fetch()
        self.missing = config.missing or {}
        made = [
            (_step(one), given) for one, given in zip(config.stages or [], document.get("stages") or [], strict=True)
        ]
        made.sort(key=lambda pair: isinstance(pair[0].stage, Selection))
        self.steps = [step for step, _ in made]
        self.document = {**document, "stages": [given for _, given in made]}
        if config.budget:
            self.steps.append(_step(StageConfig("emu.curate.stages.Budget", config.budget)))
        first = self.steps[0].stage if self.steps else None
        if not isinstance(first, Readable):
            raise UserError("stages: the first one is emu.curate.stages.Readable, which opens the files")
        self.readable = first
        self._check()

    def __reduce__(self) -> tuple[Callable[..., "Funnel"], tuple[Any, ...]]:
        return _in_another_process, (self.document, [*trust.trusted()])

    @property
    def columns(self) -> dict[str, str]:
        """Every measured column with its type, in the order of the stages."""
        return {name: kind for step in self.steps for name, kind in step.stage.columns.items()}

    @property
    def side(self) -> int:
        """To what a JPEG may be scaled down while it is decoded; 0: not at all."""
        sides = [step.stage.side for step in self.steps if step.stage.side is not None]
        return 0 if 0 in sides else max(sides, default=0)

    @property
    def sha256(self) -> str:
        """Of everything that decides what comes out."""
        text = json.dumps([VERSION, SHARD, self.document], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def require(self) -> None:
        """UserError where a stage lacks something to run."""
        for step in self.steps:
            step.stage.require()

    def without_missing(self, *, uncaptioned: bool = False) -> "Funnel":
        """Without those `optional` stages that cannot run here, or that need the columns of such; `missing` has why.

        What ranks or cuts by several columns goes on with those that are there. UserError: a stage that is not optional
        cannot run.

        Args:
            uncaptioned: leave out all that judge captions too, optional or not.
        """
        missing, gone = dict[str, str](), set[str]()
        for step in self.steps:
            why: str | None = None
            if uncaptioned and step.stage.reads_captions():
                why = "judges captions, and pictures are taken without"
            elif step.config.optional:
                why = step.cannot_run(gone)
            else:
                step.stage.require()
            if why:
                missing[step.stage.name] = why
                gone |= step.stage.columns.keys()
        if not missing:
            return self
        names = [step.stage.name for step in self.steps]
        stages = [given for given, name in zip(self.document["stages"], names, strict=False) if name not in missing]
        return Funnel(_without({**self.document, "stages": stages, "missing": missing}, gone))

    def _check(self) -> None:
        for step in self.steps:
            _require_whole(step.stage)
        names = [step.stage.name for step in self.steps]
        if twice := {name for name in names if names.count(name) > 1}:
            raise UserError(f"stages: two are called {sorted(twice)[0]}; give each a name of its own")
        known = dict(self.data.columns)
        for step in self.steps:
            stage, where = step.stage, f"stage {step.stage.name}"
            if both := known.keys() & stage.columns.keys():
                raise UserError(f"{where}: a column {sorted(both)[0]} is there already; name another")
            known |= stage.columns
            reads, numbers = (stage.reads, stage.numbers) if isinstance(stage, Selection) else ((), ())
            for column in (*step.limited, *numbers, *reads):
                if column not in known:
                    raise UserError(f"{where}: no column {column} up to there; there are {', '.join(sorted(known))}")
            if words := [name for name in (*step.limited, *numbers) if known[name] in ("string", "binary")]:
                raise UserError(f"{where}: column {words[0]} holds no numbers, and has neither limits nor ranks")


def _require_whole(stage: Stage) -> None:
    """UserError where a class of a user's own does not say what a stage has to."""
    if not hasattr(stage, "name"):
        raise answers.lacks(stage, "name", "how config, manifest and page call it")
    measures = type(stage).measure is not Stage.measure or type(stage).measure_many is not Stage.measure_many
    if stage.columns and not measures:
        raise answers.lacks(stage, "measure", f"what {', '.join(stage.columns)} are of a picture")
    schema(stage.columns, where=f"{answers.name_of(stage)}.columns")


def cause(reason: str) -> str:
    """The limit that a reason names, or what went wrong, without what is peculiar to one picture."""
    limit, _, rest = reason.partition(" ")
    return limit if " is below " in rest or " is above " in rest else reason.split(" (")[0].split(": ")[0]


def _in_another_process(document: dict[str, Any], trusted: list[str]) -> Funnel:
    trust.take_over(trusted)
    return Funnel(document)


def _step(config: StageConfig) -> Step:
    kind = named.find(config.class_path, Stage, where="stages:", like="emu.curate.stages.Shape")
    return Step(named.construct(kind, config.init_args or {}, where=config.class_path), config)


def _without(document: dict[str, Any], gone: set[str]) -> dict[str, Any]:
    """Stages that rank or cut by several columns do so by those that are there."""
    stages, budget = [], document.get("budget")
    for given in document["stages"]:
        made_with = given.get("init_args") or {}
        for key in ("by", "worse_by"):
            if isinstance(columns := made_with.get(key), dict):
                made_with = {**made_with, key: {name: columns[name] for name in columns if name not in gone}}
        given = {**given, "init_args": made_with} if made_with else given
        stages.append(given)
    if not budget:
        return {**document, "stages": stages}
    by, column = [name for name in budget["by"] if name not in gone], budget.get("column")
    if budget.get("number") and not by:
        cuts_by = ", ".join(budget["by"])
        raise UserError(f"--budget: cuts by {cuts_by}, which no stage measures here; see what is missing")
    return {**document, "stages": stages, "budget": {**budget, "by": by, "column": None if column in gone else column}}


def _number(value: Value) -> float:
    """NaN, which meets no limit, of what is none."""
    return float("nan") if value is None or isinstance(value, str | bytes) else float(value)


def _shown(value: Value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(int(value) if isinstance(value, bool) else value)
