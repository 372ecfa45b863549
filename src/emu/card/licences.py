"""Licences as the source states them, counted; which of them the Hub has a name for. None is guessed."""

import re
from collections import Counter

from emu.card.blocks import Block, Cell, Quoted, Section, Table, counted
from emu.storage.shapes import Row

SHOWN = 30
UNKNOWN = "not known"
HUB = {
    "apache-2.0", "cc0-1.0", "mit", "openrail++", "creativeml-openrail-m", "odbl", "odc-by", "pddl", "unlicense",
    *(f"cc-by{kind}-{version}" for kind in ("", "-sa", "-nc", "-nc-sa") for version in ("2.0", "3.0", "4.0")),
    "cc-by-2.5", "cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0",
}  # fmt: skip
ADDRESS = re.compile(r"^https?://(?:www\.)?creativecommons\.org/(?:licenses/([a-z-]+)|publicdomain/(zero))/([0-9.]+)")


def columns(rows: list[Row]) -> list[str]:
    """Those that speak of a licence by their name."""
    return [name for name in dict.fromkeys(n for row in rows for n in row) if re.search("licen[cs]e", name, re.I)]


def section(rows: list[Row]) -> Section:
    """A table a column."""
    found = columns(rows)
    if not found:
        return Section("Licences", ["Not known: no column of the source speaks of a licence."])
    blocks: list[Block] = ["As the source says, which nobody has checked; emu is no lawyer."]
    for name in found:
        counts = values(rows, name)
        row: list[Cell] = [Quoted(name), f"{len(counts):,}", f"{counts[UNKNOWN]:,}"]
        blocks += [Table(["Column", "Values", "Not known"], [row]), counted("Licence", "Pictures", counts, most=SHOWN)]
        if len(counts) > SHOWN:
            blocks += [f"The {SHOWN} commonest of {len(counts):,}."]
    return Section("Licences", blocks)


def values(rows: list[Row], column: str) -> Counter[str]:
    """Value -> pictures; those without one as `not known`."""
    return Counter(_stated(row.get(column)) for row in rows)


def front(rows: list[Row]) -> list[str]:
    """The Hub's names of the licences: `other` for what it has no name for, `unknown` for what is not known."""
    found = columns(rows)
    if not found:
        return ["unknown"]
    said = {tuple(_stated(row.get(name)) for name in found) for row in rows}
    return sorted(set().union(*map(_hub_names, said)))


def _stated(value: object) -> str:
    return UNKNOWN if value is None else str(value).strip() or UNKNOWN


def _hub_names(values: tuple[str, ...]) -> set[str]:
    """Of one picture: sets of several sources have a column of each, and some say it in two."""
    return {hub_name(value) for value in values if value != UNKNOWN} or {"unknown"}


def hub_name(value: str) -> str:
    """`CC BY-SA 4.0`, or its address, -> cc-by-sa-4.0; `other` where the Hub has no such name."""
    address = ADDRESS.match(value.lower())
    if address:
        kind, zero, version = address.groups()
        value = f"cc0-{version}" if zero else f"cc-{kind}-{version}"
    plain = re.sub(r"[\s_-]+", "-", value.lower())
    plain = "cc0-1.0" if plain == "cc0" else plain
    return plain if plain in HUB else "other"
