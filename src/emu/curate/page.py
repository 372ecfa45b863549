"""The funnel drawn: one offline page in the look of `emu compare`, with pictures that left and stayed at each stage.

As there, the page's policy lets nothing load and no style but its own; what comes from a source stays text.
"""

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from numpy.typing import NDArray

from emu.curate.config import Funnel
from emu.curate.decide import Fates, column, read
from emu.errors import printable

HERE = Path(__file__).parent
SHOWN = 8  # pictures that left at a stage, and so many that stayed
BINS = 40
LONGEST = 160  # characters of a caption or a reason


@dataclass(frozen=True)
class Example:
    """A picture on the page."""

    row: int
    text: str
    reason: str
    url: str


@dataclass(frozen=True)
class Histogram:
    """A column among those who came to a stage: bar heights in [0,1], and where its limits lie in [0,100]."""

    name: str
    low: float
    high: float
    bars: list[float]
    limits: list[tuple[str, float, float]]  # "at least" or "at most", the limit, where it lies


def page(funnel: Funnel, fates: Fates, shards: list[Path], told: dict[str, Any]) -> str:
    """The HTML."""
    style = (HERE.parent / "compare" / "page" / "report.css").read_text() + (HERE / "page.css").read_text()
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    left, stayed = examples(funnel, fates, shards)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return environment.get_template("page.html").render(
        source=printable(told["source"]),
        stages=[
            (one, left[number], stayed[number], histograms(funnel, fates, shards, number), _told(fates, one["stage"]))
            for number, one in enumerate(told["stages"])
        ],
        total=len(fates.left),
        kept=int(fates.stayed.sum()),
        failed=int(fates.failed.sum()),
        settings=list(_settings(funnel, told["document"])),
        style=style,
        style_hash=f"sha256-{digest}",
    )


def examples(funnel: Funnel, fates: Fates, shards: list[Path]) -> tuple[list[list[Example]], list[list[Example]]]:
    """(left, stayed), a list a stage: spread over the thumbnails that there are."""
    steps = range(len(funnel.steps))
    have = [(path, row) for path in shards for row in _with_thumbnail(path)]
    rows = np.array([row for _, row in have], dtype=np.int64)
    of = dict(zip(rows.tolist(), (path for path, _ in have), strict=True))
    chosen_left = [_spread(rows[fates.left[rows] == number]) for number in steps]
    chosen_stayed = [_spread(rows[fates.passed(number)[rows]]) for number in steps]
    wanted = {row for chosen in (*chosen_left, *chosen_stayed) for row in chosen}
    made = {
        told["row"]: _example(told, fates)
        for path in dict.fromkeys(of[row] for row in sorted(wanted))
        for told in read(path, ["row", "text", "reason", "thumbnail"]).to_pylist()
        if told["row"] in wanted
    }
    left, stayed = ([[made[row] for row in chosen] for chosen in side] for side in (chosen_left, chosen_stayed))
    return left, stayed


def histograms(funnel: Funnel, fates: Fates, shards: list[Path], number: int) -> list[Histogram]:
    """One for each column that the stage limits."""
    step, found = funnel.steps[number], []
    for name in dict.fromkeys((*step.at_least, *step.at_most)):
        values = np.asarray(column(shards, name)[fates.came(number)], dtype=float)
        values = values[np.isfinite(values)]
        if not len(values):
            continue
        limits = [
            (word, side[name])
            for word, side in (("at least", step.at_least), ("at most", step.at_most))
            if name in side
        ]
        # The outermost hundredths would make all other bars one line.
        low = min(float(np.quantile(values, 0.01)), *(limit for _, limit in limits))
        high = max(float(np.quantile(values, 0.99)), *(limit for _, limit in limits))
        high = high if high > low else low + 1
        bars = np.histogram(values.clip(low, high), bins=BINS, range=(low, high))[0]
        at = [(word, limit, 100 * (limit - low) / (high - low)) for word, limit in limits]
        found.append(Histogram(name, low, high, (bars / bars.max()).round(4).tolist(), at))
    return found


def _with_thumbnail(path: Path) -> list[int]:
    table = read(path, ["row", "thumbnail"])
    rows: list[int] = table.filter(table.column("thumbnail").is_valid()).column("row").to_pylist()
    return rows


def _spread(rows: NDArray[np.int64]) -> list[int]:
    count = min(SHOWN, len(rows))
    return [int(rows[i * len(rows) // count]) for i in range(count)]


def _example(told: dict[str, Any], fates: Fates) -> Example:
    reason = fates.reason(told["row"]) or told["reason"] or ""
    url = "data:image/webp;base64," + base64.b64encode(told["thumbnail"]).decode()
    return Example(told["row"], printable(told["text"])[:LONGEST], printable(reason)[:LONGEST], url)


def _told(fates: Fates, stage: str) -> list[tuple[str, str]]:
    """What a stage said of its decision, as lines of a table."""
    return [(printable(str(key)), _words(value)) for key, value in fates.told.get(stage, {}).items()]


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{printable(str(key))} {_words(inner)}" for key, inner in value.items())
    return f"{value:.4g}" if isinstance(value, float) else printable(str(value))


def _settings(funnel: Funnel, document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for given, step in zip(document["stages"], funnel.steps, strict=False):
        told = [_words({key: given[key]}) for key in ("init_args", "at_least", "at_most") if given.get(key)]
        yield step.stage.name, "; ".join([str(given["class_path"]), *told])
