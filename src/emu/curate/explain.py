"""The whole story of one picture, from the manifest alone."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from emu.curate.config import Funnel, Step
from emu.curate.manifest import Footer, groups, numbered, read_footer
from emu.errors import UserError, printable
from emu.layouts.curated_folder import MANIFEST
from emu.storage.shapes import Row

FEWEST = 6  # characters of a sha256 that name a picture
LONGEST = 19  # digits of a row's number
NAMED_BY = ("row", "source", "file", "sha256")
SHOWN = ("row", "source", "text", "source_columns", "status", "stage", "reason", "file")


def explain(out: Path, picture: str) -> list[str]:
    """Lines: where it comes from, what each stage measured and asked for, where and why it left.

    `picture` is its name in the source, its file in the curated folder, its row's number, or the beginning of its
    sha256.
    UserError: there is none, or more than one.
    """
    footer = read_footer(out)
    names = enumerate(groups(out, NAMED_BY))
    found = [(number, row) for number, group in names for row in _matching(group, picture)]
    if not found:
        raise UserError(f"--explain {picture}: not in {out / MANIFEST}; give a name, a file, a row or a sha256")
    if len(found) > 1:
        which = ", ".join(f"row {row}" for _, row in found[:5])
        raise UserError(f"--explain {picture}: {len(found)} pictures are called so; give one of {which}")
    funnel, (number, row) = Funnel(footer.document), found[0]
    group = numbered(out, number, [*SHOWN, *(name for step in funnel.steps for name in _columns_of(step))])
    (shown,) = group.filter(pc.equal(group["row"], row)).to_pylist()
    return [indent + printable(text) for indent, text in _story(funnel, footer, shown)]


def _matching(group: pa.Table, picture: str) -> list[int]:
    """The rows that are called so."""
    name = picture.removeprefix("./")
    hits = pc.or_(
        pc.equal(group["source"], name),
        pc.or_(
            pc.fill_null(pc.equal(group["file"], name), False),
            pc.fill_null(pc.ends_with(group["file"], f"/{name}"), False),
        ),
    )
    number = name.removeprefix("row ").replace(",", "")
    if number.isdecimal() and len(number) < LONGEST:
        hits = pc.or_(hits, pc.equal(group["row"], int(number)))
    elif len(name) >= FEWEST:
        hits = pc.or_(hits, pc.fill_null(pc.starts_with(group["sha256"], name), False))
    rows: list[int] = group["row"].filter(hits).to_pylist()
    return rows


def _columns_of(step: Step) -> list[str]:
    """The columns that a step has measured or has limits on."""
    return list(dict.fromkeys((*step.stage.columns, *step.limited)))


def _story(funnel: Funnel, footer: Footer, row: Row) -> Iterator[tuple[str, str]]:
    yield "", f"row {row['row']}, {row['source']}: {row['status']}"
    yield "  ", f"caption: {row['text']}"
    yield "  ", f"the source says: {row['source_columns']}"
    for step in funnel.steps:
        here = step.stage.name == row["stage"]
        yield "  ", f"{step.stage.name}: {_measured(step, row)}"
        if notes := footer.notes.get(step.stage.name):
            yield "    ", f"over all pictures: {notes}"
        if here:
            yield "    ", f"{row['status']} here: {row['reason']}"
            return
    yield "  ", f"kept as {row['file']}"


def _measured(step: Step, row: Row) -> str:
    parts, least, most = [], step.config.at_least or {}, step.config.at_most or {}
    for name in _columns_of(step):
        if name not in row:  # an embedding, which no one reads
            continue
        value = row[name]
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        asked = [f"at least {least[name]:g}"] if name in least else []
        asked += [f"at most {most[name]:g}"] if name in most else []
        parts.append(f"{name} {shown}" + (f" ({', '.join(asked)})" if asked else ""))
    return "; ".join(parts) or "reads what is there"
