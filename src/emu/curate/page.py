"""The funnel drawn: one offline page in the look of `emu compare`, with pictures that left and stayed at each stage.

As there, the page's policy lets nothing load and no style but its own; what comes from a source stays text.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from emu.curate.config import Funnel, cause
from emu.curate.decide import Fates, column, read
from emu.curate.manifest import Footer, in_words
from emu.errors import printable
from emu.offline import data_url, render

HERE = Path(__file__).parent
SHOWN = 8  # pictures that left at a stage, and so many that stayed
BINS = 40
LISTED = 24  # that could not be used at a stage and have no thumbnail
LONGEST = 160  # characters of a caption or a reason


@dataclass(frozen=True)
class Example:
    """A picture on the page."""

    row: int
    name: str
    text: str
    reason: str
    url: str
    twin: "Example | None" = None  # what stays in its place


Walls = dict[str, list[Example]]  # what pictures left for -> some of them


@dataclass(frozen=True)
class Histogram:
    """A column among those who came to a stage: bar heights in [0,1], and where its limits lie in [0,100]."""

    name: str
    low: float
    high: float
    bars: list[float]
    limits: list[tuple[str, float, float]]  # "at least" or "at most", the limit, where it lies


def page(funnel: Funnel, fates: Fates, shards: list[Path], footer: Footer) -> str:
    """The HTML."""
    of, causes = _with_thumbnails(shards)
    left, stayed = examples(funnel, fates, of, causes)
    bad = unusable(fates, shards, of)
    values = {
        "source": printable(footer.source),
        "stages": [
            (
                one,
                left[number],
                bad[number],
                stayed[number],
                histograms(funnel, fates, shards, number),
                footer.lines(one.stage),
            )
            for number, one in enumerate(footer.stages)
        ],
        "total": len(fates.left),
        "kept": int(fates.stayed.sum()),
        "failed": int(fates.failed.sum()),
        "missing": _missing(footer),
        "settings": list(_settings(funnel, footer)),
    }
    return render(HERE / "page.html", values, styles=(HERE / "page.css",))


def examples(
    funnel: Funnel, fates: Fates, of: dict[int, Path], causes: dict[int, str]
) -> tuple[list[Walls], list[list[Example]]]:
    """(left, stayed) of each stage, those that left by what they left for: spread over the thumbnails that there are.

    Of those that left for a twin, such as have one whose thumbnail is there too, if there are any.

    Args:
        of: row -> the shard that has its thumbnail.
        causes: row -> what it left for while it was measured.
    """
    rows = np.array(list(of), dtype=np.int64)

    def walls(number: int) -> dict[str, list[int]]:
        here = rows[fates.left[rows] == number].tolist()
        here = [row for row in here if fates.twins.get(row) in of] or here
        return {
            why: _spread([row for row in here if causes[row] == why]) for why in sorted({causes[row] for row in here})
        }

    chosen_left = [walls(number) for number in range(len(funnel.steps))]
    chosen_stayed = [_spread(rows[fates.passed(number)[rows]].tolist()) for number in range(len(funnel.steps))]
    wanted = {row for some in chosen_left for chosen in some.values() for row in chosen}
    wanted |= {row for chosen in chosen_stayed for row in chosen}
    wanted |= {fates.twins[row] for row in wanted if fates.twins.get(row) in of}
    made = {
        one["row"]: _example(**one, fates=fates)
        for path in dict.fromkeys(of[row] for row in sorted(wanted))
        for one in read(path, ["row", "source", "text", "reason", "thumbnail"]).to_pylist()
        if one["row"] in wanted
    }

    def shown(row: int) -> Example:
        return replace(made[row], twin=made.get(fates.twins.get(row, -1)))

    left = [{why: [shown(row) for row in chosen] for why, chosen in some.items()} for some in chosen_left]
    return left, [[made[row] for row in chosen] for chosen in chosen_stayed]


def unusable(fates: Fates, shards: list[Path], of: dict[int, Path]) -> dict[int, list[tuple[str, str]]]:
    """Stage -> (name, reason) of the first that could not be used there and cannot be shown."""
    found = defaultdict[int, list[tuple[str, str]]](list)
    for path in shards:
        table = read(path, ["row", "source", "reason"]).to_pydict()
        for row, source, reason in zip(table["row"], table["source"], table["reason"], strict=True):
            some = found[int(fates.left[row])]
            if fates.failed[row] and row not in of and len(some) < LISTED:
                some.append((printable(source)[:LONGEST], printable(fates.reason(row) or reason or "")[:LONGEST]))
    return found


def histograms(funnel: Funnel, fates: Fates, shards: list[Path], number: int) -> list[Histogram]:
    """One for each column that the stage limits."""
    config, found = funnel.steps[number].config, []
    sides = (("at least", config.at_least or {}), ("at most", config.at_most or {}))
    for name in funnel.steps[number].limited:
        values = np.asarray(column(shards, name)[fates.came(number)], dtype=float)
        values = values[np.isfinite(values)]
        if not len(values):
            continue
        limits = [(word, side[name]) for word, side in sides if name in side]
        # The outermost hundredths would make all other bars one line.
        low = min(float(np.quantile(values, 0.01)), *(limit for _, limit in limits))
        high = max(float(np.quantile(values, 0.99)), *(limit for _, limit in limits))
        high = high if high > low else low + 1
        bars = np.histogram(values.clip(low, high), bins=BINS, range=(low, high))[0]
        at = [(word, limit, 100 * (limit - low) / (high - low)) for word, limit in limits]
        found.append(Histogram(name, low, high, (bars / bars.max()).round(4).tolist(), at))
    return found


def _with_thumbnails(shards: list[Path]) -> tuple[dict[int, Path], dict[int, str]]:
    """(row -> its shard, row -> what it left for while it was measured) of those that have one."""
    of, causes = dict[int, Path](), dict[int, str]()
    for path in shards:
        table = read(path, ["row", "reason", "thumbnail"])
        there = table.filter(table.column("thumbnail").is_valid()).select(["row", "reason"]).to_pydict()
        for row, reason in zip(there["row"], there["reason"], strict=True):
            of[row], causes[row] = path, cause(reason) if reason else ""
    return of, causes


def _spread(rows: list[int]) -> list[int]:
    count = min(SHOWN, len(rows))
    return [rows[i * len(rows) // count] for i in range(count)]


def _example(row: int, source: str, text: str, reason: str | None, thumbnail: bytes, *, fates: Fates) -> Example:
    name, text, why = (printable(one)[:LONGEST] for one in (source, text, fates.reason(row) or reason or ""))
    return Example(row, name, text, why, data_url(thumbnail))


def _missing(footer: Footer) -> list[tuple[str, str]]:
    """(stages that could not run here, why), those that lack the same thing together."""
    names: dict[str, list[str]] = {}
    for name, why in (footer.funnel.missing or {}).items():
        names.setdefault(printable(why), []).append(name)
    return [(", ".join(some), why) for why, some in names.items()]


def _settings(funnel: Funnel, footer: Footer) -> Iterator[tuple[str, str]]:
    for one, step in zip(footer.funnel.stages or [], funnel.steps, strict=False):
        given = {"init_args": one.init_args, "at_least": one.at_least, "at_most": one.at_most}
        parts = [f"{key} {printable(in_words(value))}" for key, value in given.items() if value]
        yield step.stage.name, "; ".join([one.class_path, *parts])
