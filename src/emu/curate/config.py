"""A funnel's config: which columns a source has, and the stages in their order with the limits that pictures must meet.

data: {image_column: image, text_column: text, columns: {license: string, likes: int64}}
stages:
  - class_path: emu.curate.stages.Shape
    at_least: {short_side: 1024}
    at_most: {aspect: 2}
"""

import hashlib
import json
import math
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from emu import documents, named
from emu.curate.fetch import Fetch
from emu.curate.stage import Row, Selection, Stage
from emu.curate.stages.readable import Readable
from emu.errors import UserError

SHARD = 256  # pictures: what a killed worker has to do again
VERSION = 3  # of what a shard holds: shards of another one are not gone on with
KEYS = ("data", "fetch", "stages", "budget", "missing")
STEP_KEYS = ("class_path", "init_args", "at_least", "at_most", "optional")


@dataclass(frozen=True)
class Step:
    """A stage with the limits of the config: what leaves, and why.

    Args:
        stage: what measures.
        given: what the config says of it.
        at_least: column -> limit.
        at_most: column -> limit.
        optional: it is left out where it cannot run.
    """

    stage: Stage
    given: dict[str, Any] = field(default_factory=dict)
    at_least: dict[str, float] = field(default_factory=dict)
    at_most: dict[str, float] = field(default_factory=dict)
    optional: bool = False

    def verdict(self, row: Row) -> str | None:
        """Why a picture leaves here, None if it stays. What is no number meets no limit."""
        for column, least in self.at_least.items():
            if row[column] is None or not row[column] >= least:
                return f"{column} {_shown(row[column])} is below {least:g}"
        for column, most in self.at_most.items():
            if row[column] is None or not row[column] <= most:
                return f"{column} {_shown(row[column])} is above {most:g}"
        return None


def cause(reason: str) -> str:
    """The limit that a reason names, or what went wrong, without what is peculiar to one picture."""
    limit, _, rest = reason.partition(" ")
    return limit if " is below " in rest or " is above " in rest else reason.split(" (")[0].split(": ")[0]


@dataclass(frozen=True)
class Data:
    """How the source is read. `columns` of it become typed columns of the manifest: name -> pyarrow's type."""

    image_column: str | None = None
    text_column: str | None = None
    caption_lines: bool = False
    columns: dict[str, str] = field(default_factory=dict)


class Funnel:
    """The steps of a config, ready to measure. Made again in every worker: models need not travel.

    Stages that look at all pictures at once come after those that look at one at a time, wherever the config has them:
    so whoever wins there is not taken out later, and its twin with it.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        documents.require_known(document, KEYS, where="a curate config")
        self.data = named.construct(Data, document.get("data") or {}, where="data")
        self.fetch = named.construct(Fetch, document.get("fetch") or {}, where="fetch")
        steps = [_step(given) for given in document.get("stages") or []]
        self.steps = sorted(steps, key=lambda step: isinstance(step.stage, Selection))
        self.document = {**document, "stages": [step.given for step in self.steps]}
        if document.get("budget"):
            self.steps.append(_step({"class_path": "emu.curate.stages.Budget", "init_args": document["budget"]}))
        first = self.steps[0].stage if self.steps else None
        if not isinstance(first, Readable):
            raise UserError("stages: the first one is emu.curate.stages.Readable, which opens the files")
        self.readable = first
        self._check()

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

    def _check(self) -> None:
        names = [step.stage.name for step in self.steps]
        if twice := {name for name in names if names.count(name) > 1}:
            raise UserError(f"stages: two are called {sorted(twice)[0]}; give each a name of its own")
        known = dict(self.data.columns)
        for step in self.steps:
            where = f"stage {step.stage.name}"
            if both := known.keys() & step.stage.columns.keys():
                raise UserError(f"{where}: a column {sorted(both)[0]} is there already; name another")
            known |= step.stage.columns
            limited = [
                *step.at_least,
                *step.at_most,
                *(step.stage.numbers if isinstance(step.stage, Selection) else ()),
            ]
            for column in (*limited, *(step.stage.reads if isinstance(step.stage, Selection) else ())):
                if column not in known:
                    raise UserError(f"{where}: no column {column} up to there; there are {', '.join(sorted(known))}")
            if words := [column for column in limited if known[column] in ("string", "binary")]:
                raise UserError(f"{where}: column {words[0]} holds no numbers, and has neither limits nor ranks")


def _step(given: Any) -> Step:
    if not isinstance(given, dict) or "class_path" not in given:
        raise UserError(f"stages: {given!r:.80} has no class_path, such as emu.curate.stages.Shape")
    class_path = str(given["class_path"])
    documents.require_known(given, STEP_KEYS, where=class_path)
    kind = named.find(class_path, Stage, where="stages:", like="emu.curate.stages.Shape")
    stage = named.construct(kind, given.get("init_args") or {}, where=class_path)
    least, most = (_limits(given.get(side), f"{class_path}: {side}") for side in ("at_least", "at_most"))
    return Step(stage, given, least, most, optional=given.get("optional") is True)


def _limits(given: Any, where: str) -> dict[str, float]:
    limits = given or {}
    if not isinstance(limits, dict):
        raise UserError(f"{where}: {given!r:.80} is no mapping of columns to numbers")
    for column, limit in limits.items():
        if not named.is_a(limit, float) or math.isnan(limit):
            raise UserError(f"{where}: {column} is {limit!r:.80}, which is no number")
    return {column: float(limit) for column, limit in limits.items()}


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(int(value) if isinstance(value, bool) else value)


def schema(columns: dict[str, str]) -> list[tuple[str, pa.DataType]]:
    """UserError: a type that pyarrow does not know."""
    try:
        return [(name, pa.type_for_alias(kind)) for name, kind in columns.items()]
    except ValueError as error:
        raise UserError(f"data.columns: {error}; types are string, int64, float64, bool") from None
