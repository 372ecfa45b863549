"""Curves over the steps of a run: what `quality.json` says of every check, as the geometry of small SVG charts.

Own geometry rather than a plotting library: five polylines need no 30 MB of one, and text that the browser sets follows
the page's size, its dark or light, and a screen reader.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from emu.compare.verdict import CRITERIA
from emu.guards import Finding
from emu.layouts.quality_json import Quality
from emu.statistics.intervals import Interval

WIDTH, HEIGHT = 320.0, 120.0  # of the plot, without what is written around it
ROOM = 0.08  # of the range, above and below


@dataclass(frozen=True)
class Point:
    """A number at a step, with its 95 % interval."""

    step: int
    value: float
    ci95: Interval


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


def charts(quality: Quality, chosen: int) -> list[Chart]:
    """The charts of a run: win rates first, then every guard that its checks have measured."""
    found = []
    wins = {"appeal": [(check.step, check.appeal) for check in quality.checks]}
    wins["faithfulness"] = [(check.step, check.faithfulness) for check in quality.checks]
    for name in CRITERIA:
        points = [Point(step, rates.win, rates.ci95) for step, rates in wins[name] if rates]
        if points:
            found.append(_chart((f"{name}: wins", "% of prompts"), points, chosen, rules={50.0: ""}, limits=(0, 100)))
    findings = [(check.step, finding) for check in quality.checks for finding in check.guards]
    for guard in dict.fromkeys(finding.guard for _, finding in findings):
        measured = [(step, one) for step, one in findings if one.guard == guard and one.value is not None]
        points = [Point(step, one.value, one.ci95) for step, one in measured if one.value is not None and one.ci95]
        if points:
            first = measured[0][1]
            start = Point(0, first.unchanged, (first.unchanged, first.unchanged))  # step 0 against itself
            found.append(_chart((guard, first.unit), [start, *points], chosen, rules=_rules(first)))
    return found


def _rules(finding: Finding) -> dict[float, str]:
    assert finding.threshold is not None
    thresholds = [finding.threshold, *([-finding.threshold] if finding.kind == "within" else [])]
    return {finding.unchanged: ""} | dict.fromkeys(sorted(thresholds), "threshold")


@dataclass(frozen=True)
class _Plot:
    """Where steps and numbers lie: `last` is at the right, `low` at the bottom and `high` at the top."""

    last: int
    low: float
    high: float

    def x(self, step: int) -> float:
        return round(WIDTH * step / self.last, 1)

    def y(self, value: float) -> float:
        return round(HEIGHT * (1 - (value - self.low) / (self.high - self.low)), 1)

    def path(self, points: Sequence[tuple[int, float]]) -> str:
        return " ".join(f"{self.x(step)},{self.y(value)}" for step, value in points)


def _chart(
    titles: tuple[str, str],
    points: Sequence[Point],
    chosen: int,
    *,
    rules: dict[float, str],
    limits: Interval | None = None,
) -> Chart:
    plot = _plot(points, rules, limits)
    top, bottom = ([(one.step, one.ci95[end]) for one in points] for end in (1, 0))
    words = [f"step {one.step:,} {one.value:.3g} [{one.ci95[0]:.3g}, {one.ci95[1]:.3g}]" for one in points if one.step]
    return Chart(
        title=titles[0],
        unit=titles[1],
        line=plot.path([(one.step, one.value) for one in points]),
        band=plot.path([*top, *bottom[::-1]]),
        dots=[(plot.x(one.step), plot.y(one.value), one.step == chosen) for one in points if one.step],
        rules=[(plot.y(value), label) for value, label in rules.items()],
        ends=(f"{plot.low:.3g}", f"{plot.high:.3g}"),
        last=plot.last,
        words=f"{titles[0]} over the steps, {titles[1]}: {', '.join(words)}",
    )


def _plot(points: Sequence[Point], rules: dict[float, str], limits: Interval | None) -> _Plot:
    if limits:
        return _Plot(points[-1].step, *limits)
    numbers = [number for one in points for number in (one.value, *one.ci95)] + list(rules)
    room = ROOM * (max(numbers) - min(numbers))
    return _Plot(points[-1].step, min(numbers) - room, max(numbers) + room)
