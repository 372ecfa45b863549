"""A curated folder as it is read after the funnel: its pictures, their concepts, and the manifest where there is one.

Its lines are held to the rules by which `emu fit` reads a set (`emu.data.sources`), but that a caption may be absent.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from emu.class_paths import named
from emu.curate.document import Config
from emu.curate.manifest import Footer, read_footer
from emu.curate.stage import Value
from emu.curate.stages.best import Balance
from emu.data.sources import Entry, Fault, Wanted
from emu.data.sources.below import as_it_lies, below
from emu.data.sources.folder import metadata_of
from emu.data.sources.lines import read_lines
from emu.data.sources.openers import File
from emu.data.sources.rows import Rows
from emu.errors import UserError
from emu.layouts.curated_folder import MANIFEST, METADATA, original
from emu.storage.shapes import Row

CONCEPT = "concept"


@dataclass(frozen=True)
class Curated:
    """A folder of needles.

    Args:
        folder: where it lies.
        rows: the lines of its metadata.jsonl, each with `file_name` and, where there is one, `text`.
        footer: the manifest's; None without a manifest.
    """

    folder: Path
    rows: list[Row]
    footer: Footer | None = None

    @cached_property
    def config(self) -> Config:
        """The funnel's; empty without a manifest."""
        return self.footer.funnel if self.footer else Config()

    @cached_property
    def concept(self) -> str | None:
        """The column of concepts: the one that the config balances or budgets by, or `concept` where there is one."""
        balances = [one for one in self.config.stages or [] if named.leads_to(one.class_path, Balance)]
        wanted = [(one.init_args or {}).get("column", CONCEPT) for one in balances]
        wanted += [(self.config.budget or {}).get("column"), CONCEPT]
        there = {name for row in self.rows for name in row} | set(self.columns)
        return next((name for name in wanted if name in there), None)

    @cached_property
    def columns(self) -> list[str]:
        """Of the manifest; none without one."""
        names: list[str] = pq.read_schema(self.folder / MANIFEST).names if self.footer else []
        return names

    def column(self, name: str) -> dict[str, Value]:
        """File -> a column's value, of the manifest where it has it, or of the metadata; None where there is none."""
        known = {}
        if name in self.columns:
            there = pc.field("file").is_valid()
            table = pq.read_table(self.folder / MANIFEST, columns=["file", name], filters=there)
            known = dict(zip(table["file"].to_pylist(), table[name].to_pylist(), strict=True))
        return {row["file_name"]: known.get(original(row), row.get(name)) for row in self.rows}

    def concepts(self) -> dict[str, str]:
        """File -> its concept as a word; "not known" where it has none, "all" where the folder knows of none."""
        if self.concept is None:
            return {row["file_name"]: "all" for row in self.rows}
        return {file: "not known" if one is None else str(one) for file, one in self.column(self.concept).items()}


def read_curated(folder: Path) -> Curated:
    """UserError: no curated folder, or a line of its metadata that is none."""
    path = metadata_of(folder)
    if path is None or path.name != METADATA:
        raise UserError(f"{folder}: no {METADATA} there; name a curated folder, as emu curate makes it")
    rules = Rows(folder, Wanted(image_column="file_name", text_column="text"))
    rows = [_checked(rules, where, row) for where, row in read_lines(path)]
    if not rows:
        raise UserError(f"{path}: names no picture")
    return Curated(folder, rows, read_footer(folder) if (folder / MANIFEST).exists() else None)


def _checked(rules: Rows, where: str, row: Row | Fault) -> Row:
    if isinstance(row, Fault):
        raise UserError(f"{rules.folder / row.message}; mend the line, or remove it")
    if isinstance(file := row.get("file_name"), str):
        row = {**row, "file_name": as_it_lies(rules.folder, file)}
    item = rules.item(where, {**row, "text": row.get("text") or ""})
    try:
        if not isinstance(item, Entry):
            raise ValueError(item.message.removeprefix(f"{where}: "))
        if not isinstance(item.open, File):
            raise ValueError(f"{item.name} is an address; a curated folder holds its pictures")
        below(rules.folder, original(row))
    except (ValueError, KeyError) as error:
        raise UserError(f"{rules.folder / where}: {error}; mend the line, or remove it") from None
    return row
