"""Curves over the steps of a run: what `quality.json` tells of every check, as the geometry of small SVG charts.

Own geometry rather than a plotting library: five polylines need no 30 MB of one, and text that the browser sets follows
the page's size, its dark or light, and a screen reader.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from emu.guards import Finding

WIDTH, HEIGHT = 320.0, 120.0  # of the plot, without what is written around it
ROOM = 0.08  # of the range, above and below
Point = tuple[int, float, float, float]  # step, value, low, high


@dataclass(frozen=True)
class Chart:
    """One number over the steps, in coordinates of the plot.

    Args:
        line, band: points of a polyline and of the polygon of its 95 % intervals.
        dots: (x, y, chosen) of every check.
        rules: (y, label) of thresholds and of no change.
        ends: labels at the bottom and the top.
        words: the numbers, for who does not see the curve.
    """

    title: str
    unit: str
    line: str
    band: str
    dots: list[tuple[float, float, bool]]
    rules: list[tuple[float, str]]
    ends: tuple[str, str]
    last: int
    words: str


def charts(quality: dict[str, Any], chosen: int) -> list[Chart]:
    """The charts of a run: win rates first, then every guard that its checks have measured."""
    checks = quality.get("checks") or []
    found = []
    for name in ("appeal", "faithfulness"):
        points = [(check["step"], check[name]["win"], *check[name]["ci95"]) for check in checks if check.get(name)]
        if points:
            found.append(_chart(f"{name}: wins", "% of prompts", points, chosen, rules={50.0: ""}, limits=(0, 100)))
    for name in dict.fromkeys(row["guard"] for check in checks for row in check.get("guards", [])):
        rows = [(check["step"], row) for check in checks for row in check.get("guards", []) if row["guard"] == name]
        points = [(step, row["value"], *row["ci95"]) for step, row in rows if row["value"] is not None]
        if points:
            first = Finding.from_row(next(row for _, row in rows if row["value"] is not None))
            same = first.unchanged
            start = (0, same, same, same)  # step 0 against itself
            found.append(_chart(name, first.unit, [start, *points], chosen, rules=_rules(first)))
    return found


def _rules(finding: Finding) -> dict[float, str]:
    assert finding.threshold is not None
    thresholds = [finding.threshold, *([-finding.threshold] if finding.kind == "within" else [])]
    return {finding.unchanged: ""} | dict.fromkeys(sorted(thresholds), "threshold")


def _chart(
    title: str,
    unit: str,
    points: Sequence[Point],
    chosen: int,
    *,
    rules: dict[float, str],
    limits: tuple[float, float] | None = None,
) -> Chart:
    numbers = [number for _, *three in points for number in three] + list(rules)
    low, high = limits or (min(numbers), max(numbers))
    room = 0 if limits else ROOM * (high - low)
    low, high, last = low - room, high + room, points[-1][0]

    def x(step: int) -> float:
        return round(WIDTH * step / last, 1)

    def y(value: float) -> float:
        return round(HEIGHT * (1 - (value - low) / (high - low)), 1)

    def path(way: Sequence[tuple[int, float]]) -> str:
        return " ".join(f"{x(step)},{y(value)}" for step, value in way)

    there, back = [(step, top) for step, _, _, top in points], [(step, bottom) for step, _, bottom, _ in points][::-1]
    said = ", ".join(
        f"step {step:,} {value:.3g} [{bottom:.3g}, {top:.3g}]" for step, value, bottom, top in points if step
    )
    return Chart(
        title=title,
        unit=unit,
        line=path([(step, value) for step, value, _, _ in points]),
        band=path([*there, *back]),
        dots=[(x(step), y(value), step == chosen) for step, value, _, _ in points if step],
        rules=[(y(value), label) for value, label in rules.items()],
        ends=(f"{low:.3g}", f"{high:.3g}"),
        last=last,
        words=f"{title} over the steps, {unit}: {said}",
    )
