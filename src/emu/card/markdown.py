"""A card as Markdown: what others wrote stands in code spans, where neither Markdown nor HTML is read."""

import html
import re
from collections.abc import Iterator
from urllib.parse import quote

import yaml

from emu.card.blocks import Block, Card, Cell, Pictures, Quoted, Table, Verbatim
from emu.errors import printable

SHOWN = 8  # pictures, in full size
LONGEST = 300  # characters of a text in a table


def markdown(card: Card) -> str:
    """YAML front matter as the Hub reads it, then the sections."""
    return "\n\n".join(["\n".join(["---", *_front(card), "---"]), *_body(card)]) + "\n"


def code(text: str) -> str:
    """A code span that shows the text as it stands, on one line."""
    line = printable(text)[:LONGEST] or " "
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    space = " " if line.startswith("`") or line.endswith("`") else ""
    return fence + space + line + space + fence


def block(text: str) -> str:
    """Lines in a fence that none of them closes."""
    lines = [printable(line) if line.strip() else "" for line in text.splitlines()]
    indented = [line[: len(line) - len(line.lstrip(" "))] for line in text.splitlines()]
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return "\n".join([f"{fence}text", *(before + line for before, line in zip(indented, lines, strict=True)), fence])


def _front(card: Card) -> Iterator[str]:
    yield from yaml.safe_dump(card.front, sort_keys=False).splitlines()
    yield from (f"# not known: {name}" for name in card.unknown)


def _body(card: Card) -> Iterator[str]:
    yield f"# {code(card.title.text)}"
    yield card.lead
    for section in card.sections:
        yield f"## {section.title}"
        for one in section.blocks:
            yield _block(one)


def _block(one: Block) -> str:
    match one:
        case Table():
            return _table(one)
        case Verbatim():
            return f"{one.title}:\n\n{block(one.text)}"
        case Pictures():
            shown = one.files[:: max(1, len(one.files) // SHOWN)][:SHOWN]
            return "\n\n".join(f"![]({html.escape(quote(file))}) {code(text)}" for file, text in shown)
        case _:
            return one


def _table(table: Table) -> str:
    plain = len(table.heads) - table.number
    rule = [":--"] * plain + ["--:"] * table.number
    rows = [[_cell(head) for head in table.heads], rule, *([_cell(cell) for cell in row] for row in table.rows)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _cell(cell: Cell) -> str:
    """Inside of a table, and nowhere else, a bar has to be escaped in code too."""
    return code(cell.text).replace("|", "\\|") if isinstance(cell, Quoted) else cell
