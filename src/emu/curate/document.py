"""A config of `emu curate` as it is written: which columns a source has, and the stages in order with their limits.

data: {image_column: image, text_column: text, columns: {license: string, likes: int64}}
stages:
  - class_path: emu.curate.stages.Shape
    at_least: {short_side: 1024}
    at_most: {aspect: 2}
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import pyarrow as pa

from emu.curate.fetch import Fetch
from emu.errors import UserError
from emu.storage import documents
from emu.storage.records import build, fault


@dataclass(frozen=True)
class Data:
    """How the source is read. `columns` of it become typed columns of the manifest: name -> pyarrow's type.

    Args:
        captioned: whether a picture without a caption has failed; otherwise its caption is empty, and people write one.
    """

    image_column: str | None = None
    text_column: str | None = None
    caption_lines: bool = False
    captioned: bool = True
    columns: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StageConfig:
    """A stage by its class, and the limits that a picture must meet there: column -> number.

    Args:
        init_args: what the class is made with.
        optional: it is left out where it cannot run.
    """

    class_path: str
    init_args: dict[str, Any] | None = None
    at_least: dict[str, float] | None = None
    at_most: dict[str, float] | None = None
    optional: bool = False

    def limits(self) -> list[str]:
        """`short_side at least 512`, ..."""
        sides = (("at least", self.at_least), ("at most", self.at_most))
        return [f"{column} {word} {limit:g}" for word, side in sides for column, limit in (side or {}).items()]


@dataclass(frozen=True)
class Config:
    """All of it.

    Args:
        budget: what `emu.curate.stages.Budget` is made with, the last stage.
        missing: optional stages that were left out on this machine -> why.
    """

    stages: list[StageConfig] | None = None
    data: Data | None = None
    fetch: Fetch | None = None
    budget: dict[str, Any] | None = None
    missing: dict[str, str] | None = None

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Config":
        """What a YAML file says. UserError: an unknown key, or a value of another type."""
        _require_known(document, cls, "a curate config")
        if wrong := fault(document, cls):
            raise UserError(f"{wrong}; see docs/curate.md for what a curate config holds")
        for given in document.get("stages") or []:
            _require_known(given, StageConfig, given["class_path"])
        for name, kind in (("data", Data), ("fetch", Fetch)):
            _require_known(document.get(name) or {}, kind, name)
        config: Config = build(document, cls)
        return config


def schema(columns: Mapping[str, str], *, where: str = "data.columns") -> list[tuple[str, pa.DataType]]:
    """UserError: a type that pyarrow does not know."""
    try:
        return [(name, pa.type_for_alias(kind)) for name, kind in columns.items()]
    except ValueError as error:
        raise UserError(f"{where}: {error}; types are string, int64, float64, bool") from None


def _require_known(given: Iterable[str], kind: Any, where: str) -> None:
    documents.require_known(given, [one.name for one in fields(kind)], where=where)


KEYS = [one.name for one in fields(Config)]
