"""A study's results as one picture: each arm's best against its own before, against the reference, and over steps.

Matplotlib draws it (the extra `studies`): axes, ticks and legends that fit any number of arms are not ours to write.
"""

import io
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from emu.errors import UserError
from emu.guards import Diversity, HeldOut
from emu.guards.diversity import NAMES as DIVERSITY
from emu.guards.held_out import NAME as HELD_OUT
from emu.statistics import WinRate
from emu.statistics.intervals import Interval
from emu.study.outcome import CurvePoint, StudyOutcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Panel = Callable[["Axes", StudyOutcome], None]
Read = Callable[[CurvePoint], "tuple[float, Interval | None] | None"]  # a number of a step, with its interval if any
INK, GRID = "#333333", "#dddddd"
COLOURS = ("#3b6fb6", "#d1662b", "#3a8f5c", "#8a5aa8", "#b03a48", "#7a6a53")  # distinct on paper too
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.edgecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "svg.hashsalt": "emu",  # the same figures, the same file
    "svg.fonttype": "none",  # text stays text
}


def plot(outcome: StudyOutcome) -> bytes:
    """An SVG of what `study.json` holds; UserError where matplotlib is absent."""
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ImportError:
        raise UserError("no plot without matplotlib: pip install 'emu-quality-tuning[studies]'") from None
    several, panels = len(outcome.arms) > 1, _panels(outcome)
    columns = (len(panels) + 1) // 2
    with rc_context(STYLE):
        layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1, wspace=0.06, hspace=0.06)
        figure = Figure(figsize=(0.6 + 3.2 * columns, 6), layout=layout)
        places = figure.subplots(2, columns).flat
        for panel, axes in zip(panels, places, strict=False):
            panel(axes, outcome)
        for axes in places:  # those that are left
            axes.set_visible(False)
        figure.suptitle(f"{outcome.question} ({outcome.base})", fontsize=11)
        if several:
            handles = figure.axes[len(panels) - 1].get_legend_handles_labels()
            figure.legend(*handles, loc="outside lower center", ncols=len(outcome.arms), frameon=False)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _panels(outcome: StudyOutcome) -> list[Panel]:
    """What there is to show; of the guards on diversity and held-out loss those that all arms have measured."""
    curves = [
        _curves(
            "appeal win over steps, %",
            lambda at: (at.appeal.win, at.appeal.ci95) if at.appeal else None,
            limits=(0, 104),
        ),
        _curves(
            "appeal score above that of step 0",
            lambda at: (at.score.difference, at.score.ci95) if at.score else None,
        ),
        _curves(
            "faithfulness, win - lose, points",
            lambda at: (at.faithfulness_net.net, at.faithfulness_net.ci95) if at.faithfulness_net else None,
        ),
        _curves(
            "drift of saturation (1: whole range)",
            lambda at: (at.drift["saturation"].difference, at.drift["saturation"].ci95),
        ),
    ]
    measured = [at.guards.keys() for arm in outcome.arms.values() for at in arm.curve]
    thresholds = {DIVERSITY[0]: Diversity().threshold, HELD_OUT: HeldOut().threshold}
    guards = [partial(_guard, name=name, threshold=threshold) for name, threshold in thresholds.items()
              if all(name in names for names in measured)]  # fmt: skip
    return [*[_best] * (len(outcome.arms) > 1), *[_against] * (outcome.before is not None), *curves, *guards]


def colours(outcome: StudyOutcome) -> dict[str, str]:
    """Arm -> its colour in every panel."""
    return {arm: COLOURS[i % len(COLOURS)] for i, arm in enumerate(outcome.arms)}


def _best(axes: "Axes", outcome: StudyOutcome) -> None:
    axes.set_title("best against its own before", fontsize=9)
    _intervals(axes, outcome, {name: arm.appeal for name, arm in outcome.arms.items()})


def _against(axes: "Axes", outcome: StudyOutcome) -> None:
    axes.set_title(f"last step against the last of {outcome.reference}", fontsize=9)
    compared = {"before": outcome.before, **outcome.arms}
    last = {name: arm.against_last for name, arm in compared.items() if arm}
    _intervals(axes, outcome, {name: against.appeal for name, against in last.items() if against})


def _intervals(axes: "Axes", outcome: StudyOutcome, rows: Mapping[str, WinRate | None]) -> None:
    """A row an arm: its appeal win rate, with the interval as a line."""
    shown = {arm: rates for arm, rates in rows.items() if rates}
    for i, (arm, rates) in enumerate(shown.items()):
        colour = colours(outcome).get(arm, INK)
        axes.plot(rates.ci95, [i, i], color=colour, linewidth=2)
        axes.plot(rates.win, i, "o", color=colour)
    axes.set_yticks(range(len(shown)), [*shown])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xlim(-2, 102)
    axes.set_xlabel("appeal win, % (95 %)")


def _guard(axes: "Axes", outcome: StudyOutcome, *, name: str, threshold: float) -> None:
    """The mean of an arm's runs as a line from step 0, where all is 1, and each run as a dot."""
    for arm, figures in outcome.arms.items():
        points = [(at.step, [run.value for run in at.guards[name]]) for at in figures.curve]
        means, colour = [sum(values) / len(values) for _, values in points], colours(outcome)[arm]
        axes.plot([0, *(step for step, _ in points)], [1, *means], color=colour, label=arm, linewidth=1.3)
        dots = [(step, value) for step, values in points for value in values]
        axes.plot(*zip(*dots, strict=True), ".", color=colour, markersize=5)
    axes.axhline(1, color=INK, linewidth=0.8)
    axes.axhline(threshold, color=INK, linewidth=0.8, linestyle="--")
    axes.set_title(f"{name}, after / before (dashed: threshold)", fontsize=9)
    axes.set_xlabel("step")


def _curves(title: str, read: Read, *, limits: Interval | None = None) -> Panel:
    return partial(_curve, title=title, read=read, limits=limits)


def _curve(axes: "Axes", outcome: StudyOutcome, *, title: str, read: Read, limits: Interval | None) -> None:
    """A line an arm from step 0, where all is 0, over the steps that all its runs reached; arms lie side by side."""
    ticks = {0}
    for i, (arm, figures) in enumerate(outcome.arms.items()):
        points = [(at.step, *found) for at in figures.curve if (found := read(at))]
        steps, values = [step for step, _, _ in points], [value for _, value, _ in points]
        aside = 0.06 * (i - (len(outcome.arms) - 1) / 2) * min(steps, default=0)
        reach = [[abs(ci95[end] - value) if ci95 else 0 for _, value, ci95 in points] for end in (0, 1)]
        places, colour = [step + aside for step in steps], colours(outcome)[arm]
        axes.plot([0, *places], [0, *values], color=colour, label=arm, linewidth=1.3)
        axes.errorbar(places, values, yerr=reach, color=colour, fmt=".", elinewidth=1, markersize=5)
        ticks |= set(steps)
    axes.axhline(0, color=INK, linewidth=0.8)
    if limits:
        axes.set_ylim(*limits)
    if len(ticks) < 10:
        axes.set_xticks(sorted(ticks))
    axes.set_title(title, fontsize=9)
    axes.set_xlabel("step")
