"""The report: one offline page, from the template beside this file, with the pictures in it.

The page's policy lets nothing load and no script or style run but the two written here, named by their hashes; so
captions, names and descriptions from a run folder stay text, whatever is in them.
"""

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from emu.compare.columns import criterion_of
from emu.compare.pairs import CRITERIA, Pair, Run
from emu.compare.pictures import embed
from emu.compare.verdict import NOT_JUDGED, pair_outcomes

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Cell:
    """One run's pair of a prompt, ready to show: `data:` URLs, pixels, per criterion the outcome and both scores."""

    run: str
    before: str
    after: str
    size: tuple[int, int]
    outcomes: dict[str, str]
    scores: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Line:
    """One prompt and seed across all runs; a run that has no such pair has None."""

    prompt: str
    seed: int
    group: str | None
    cells: list[Cell | None]


def report(runs: list[Run], verdicts: list[dict[str, Any]], *, pairs_shown: int) -> str:
    """The HTML of the page: verdicts of `verdict.verdict`, then at most `pairs_shown` prompts, evenly spread."""
    style, script = ((HERE / name).read_text() for name in ("report.css", "report.js"))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    keys = list(dict.fromkeys(_key(pair) for run in runs for pair in run.pairs))
    return environment.get_template("report.html").render(
        criteria=[name for name in CRITERIA if any(name in run.criteria for run in runs)],
        runs=list(zip(runs, verdicts, strict=True)),
        groups=sorted({group for verdict in verdicts for group in verdict["groups"]}),
        judges=_judges(verdicts),
        not_judged=NOT_JUDGED,
        lines=_lines(runs, spread(keys, pairs_shown)),
        prompts=len(keys),
        style=style,
        script=script,
        style_hash=_source_hash(style),
        script_hash=_source_hash(script),
    )


def spread(keys: list[tuple[str, int]], count: int) -> list[tuple[str, int]]:
    """`count` of the keys at even distances, in order: prompt files are often sorted by category."""
    count = min(count, len(keys))
    return [keys[i * len(keys) // count] for i in range(count)]


def _lines(runs: list[Run], keys: list[tuple[str, int]]) -> list[Line]:
    tables = [
        {_key(pair): (pair, told) for pair, told in zip(run.pairs, pair_outcomes(run), strict=True)} for run in runs
    ]
    lines = []
    for key in keys:
        found = [table.get(key) for table in tables]
        group = next(pair.group for pair, _ in filter(None, found))
        cells = [_cell(run, *each) if each else None for run, each in zip(runs, found, strict=True)]
        lines.append(Line(prompt=key[0], seed=key[1], group=group, cells=cells))
    return lines


def _cell(run: Run, pair: Pair, told: dict[str, str]) -> Cell:
    (before, _), (after, size) = embed(pair.before), embed(pair.after)
    return Cell(run.name, before, after, size, told, pair.scores)


def _judges(verdicts: list[dict[str, Any]]) -> list[tuple[str, dict[str, str | float]]]:
    """Each (criterion, judge) once, though several runs share it, and several judges a criterion."""
    found: list[tuple[str, dict[str, str | float]]] = []
    for verdict in verdicts:
        named = [(criterion_of(name), card) for name, card in verdict["judges"].items()]
        found += [item for item in named if item not in found]
    return found


def _key(pair: Pair) -> tuple[str, int]:
    return pair.prompt, pair.seed


def _source_hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
