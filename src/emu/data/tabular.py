"""Rows of CSV and TSV, for sets and for prompts alike: one in memory at a time; one at fault ends no other.

What parts the cells of a CSV is what its first line has: spreadsheets write `;` where a comma is the decimal point.
Excel takes a line before it, `sep=;`, that says so.
"""

import csv
import re
from collections.abc import Iterable, Iterator
from itertools import chain, zip_longest

from emu.errors import UserError

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
SAID = re.compile(r'("?)sep=([^"\w\s]|\t)\1[,;\s]*', re.IGNORECASE)  # filled up with separators by other programs

Cells = dict[str, str | None]  # column -> what stands there; None where nothing does


def read_cells(
    lines: Iterable[str], *, file: str, tabs: bool = False, quoted: bool = True
) -> Iterator[tuple[int, Cells | str]]:
    """(number of the line, its cells or what is wrong with it) of every row that is not empty.

    With `tabs` these alone part the cells where no line `sep=` says otherwise; without `quoted` quotation marks stand
    for themselves. A column without a name is `column N`. UserError: the first line is no header.
    """
    lines = iter(lines)
    first = next(lines, "")
    said = SAID.fullmatch(first)
    before = 0  # lines above the header
    if said:
        first, before = next(lines, ""), 1
    try:
        separator = said[2] if said else "\t" if tabs else _separator(first)
        reader = csv.reader(
            chain([first], lines),
            delimiter=separator,
            quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
            strict=True,
            skipinitialspace=True,
        )
        names = [name.strip() or f"column {number}" for number, name in enumerate(next(reader, []), start=1)]
    except csv.Error as error:
        raise UserError(f"{file}: its first line is no header ({error})") from None
    if twice := {name for name in names if names.count(name) > 1}:
        raise UserError(f"{file}: its first line names the column {min(twice)} twice")
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield before + reader.line_num, f"{error}; quote a text that holds quotation marks"
            continue
        if cells is None:
            return
        if len(cells) > len(names):
            remedy = f"quote a text that holds {SEPARATORS.get(separator, separator)}"
            yield before + reader.line_num, f"{len(cells)} cells under {len(names)} names; {remedy}"
        elif any(cells):
            yield before + reader.line_num, {name: cell or None for name, cell in zip_longest(names, cells)}


def _separator(header: str) -> str:
    """That which makes most cells of it."""
    return max(SEPARATORS, key=lambda one: len(next(csv.reader([header], delimiter=one), [])))
