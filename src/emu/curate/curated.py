"""A curated folder as it is read after the funnel: its pictures, their concepts, and the manifest where there is one.

A plain folder with a `metadata.jsonl` is one too; of that, less is known.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from emu import named, shapes
from emu.curate import manifest
from emu.curate.stages.balance import Balance
from emu.data.sources import Fault
from emu.data.sources.below import below
from emu.data.sources.columns import Row
from emu.data.sources.kinds import METADATA
from emu.data.sources.lines import read_lines
from emu.data.sources.rows import names_in
from emu.errors import UserError
from emu.records import fault, read_json

REVIEW = "review.json"
CONCEPT = "concept"


@dataclass(frozen=True)
class Curated:
    """A folder of needles.

    Args:
        folder: where it lies.
        rows: the lines of its metadata.jsonl, each with `file_name` and, where there is one, `text`.
        told: what the manifest's footer tells; empty without a manifest.
    """

    folder: Path
    rows: list[Row]
    told: dict[str, Any]

    @property
    def document(self) -> dict[str, Any]:
        """The funnel's config; empty without a manifest."""
        found: dict[str, Any] = self.told.get("document") or {}
        return found

    @cached_property
    def concept(self) -> str | None:
        """The column of concepts: the one that the config balances or budgets by, or `concept` where there is one."""
        named = [stage.get("init_args") or {} for stage in self.document.get("stages") or [] if _balances(stage)]
        budget = self.document.get("budget") or {}
        wanted = [arguments.get("column", CONCEPT) for arguments in named] + [budget.get("column"), CONCEPT]
        there = {name for row in self.rows for name in row} | set(self.columns)
        return next((name for name in wanted if name in there), None)

    @cached_property
    def columns(self) -> list[str]:
        """Of the manifest; none without one."""
        names: list[str] = pq.read_schema(self.folder / manifest.NAME).names if self.told else []
        return names

    def column(self, name: str) -> dict[str, Any]:
        """File -> a column's value, of the manifest where it has it, or of the metadata; None where nothing is told."""
        known = {}
        if name in self.columns:
            table = pq.read_table(self.folder / manifest.NAME, columns=["file", name])
            known = dict(zip(table["file"].to_pylist(), table[name].to_pylist(), strict=True))
        return {row["file_name"]: known.get(original(row), row.get(name)) for row in self.rows}

    def concepts(self) -> dict[str, str]:
        """File -> its concept as a word; "not told" where it has none, "all" where the folder knows of none."""
        if self.concept is None:
            return {row["file_name"]: "all" for row in self.rows}
        return {file: "not told" if one is None else str(one) for file, one in self.column(self.concept).items()}


def read_curated(folder: Path) -> Curated:
    """UserError: no curated folder, or a line of its metadata that is none."""
    path = folder / METADATA
    if not path.is_file():
        raise UserError(f"{folder}: no {METADATA} there; name a curated folder, as emu curate makes it")
    rows = [_checked(folder, where, row) for where, row in read_lines(path)]
    if not rows:
        raise UserError(f"{path}: names no picture")
    return Curated(folder, rows, _told(folder))


def original(row: Row) -> str:
    """The picture's file as the funnel wrote it, also where a larger one stands for it."""
    made = row.get("upsampled_from")
    return str(made["file_name"] if isinstance(made, dict) else row["file_name"])


def read_review(folder: Path) -> dict[str, Any]:
    """What `emu review --results` counted; empty where nobody has looked yet."""
    path = folder / REVIEW
    if not path.exists():
        return {}
    review: dict[str, Any] = read_json(path, shapes.Review, remedy="count again with `emu review --results`")
    return review


def _balances(stage: Any) -> bool:
    return isinstance(stage, dict) and named.leads_to(stage.get("class_path"), Balance)


def _told(folder: Path) -> dict[str, Any]:
    if not (folder / manifest.NAME).exists():
        return {}
    try:
        return manifest.told(folder)
    except pa.ArrowException as error:
        raise UserError(f"{folder / manifest.NAME}: damaged ({error}); curate again, or remove it") from None


def _checked(folder: Path, where: str, row: Row | Fault) -> Row:
    if isinstance(row, Fault):
        raise UserError(f"{folder / row.message}; mend the line, or remove it")
    if wrong := fault(row, shapes.CuratedRow):
        raise UserError(f"{folder / where}: {wrong}; mend the line, or remove it")
    try:
        for name in names_in(row, "file_name"):
            below(folder, name)
    except ValueError as error:
        raise UserError(f"{folder / where}: {error}; mend the line, or remove it") from None
    return row
