"""A study's results as one picture: each arm's best against its own before, against the reference, and over steps.

Matplotlib draws it (the extra `studies`): axes, ticks and legends that fit any number of arms are not ours to write.
"""

import io
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from emu.errors import UserError
from emu.guards import Diversity, HeldOut
from emu.guards.diversity import NAMES as DIVERSITY
from emu.guards.held_out import NAME as HELD_OUT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Panel = Callable[["Axes", dict[str, Any]], None]
INK, GRID = "#333333", "#dddddd"
COLOURS = ("#3b6fb6", "#d1662b", "#3a8f5c", "#8a5aa8", "#b03a48", "#7a6a53")  # told apart on paper too
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


def plot(told: dict[str, Any]) -> bytes:
    """An SVG of what `study.json` holds; UserError where matplotlib is absent."""
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ImportError:
        raise UserError("no plot without matplotlib: pip install 'emu-quality-tuning[studies]'") from None
    several = len(told["arms"]) > 1
    panels: list[Panel] = [*([_best] if several else []), *([_against] if "before" in told else [])]
    panels += [_appeal, _score, _faithfulness, _drift, *_guards(told)]
    columns = (len(panels) + 1) // 2
    with rc_context(STYLE):
        layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1, wspace=0.06, hspace=0.06)
        figure = Figure(figsize=(0.6 + 3.2 * columns, 6), layout=layout)
        places = figure.subplots(2, columns).flat
        for panel, axes in zip(panels, places, strict=False):
            panel(axes, told)
        for axes in places:  # those that are left
            axes.set_visible(False)
        figure.suptitle(f"{told['question']} ({told['base']})", fontsize=11)
        if several:
            handles = figure.axes[len(panels) - 1].get_legend_handles_labels()
            figure.legend(*handles, loc="outside lower center", ncols=len(told["arms"]), frameon=False)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def colours(told: dict[str, Any]) -> dict[str, str]:
    """Arm -> its colour in every panel."""
    return {arm: COLOURS[i % len(COLOURS)] for i, arm in enumerate(told["arms"])}


def _best(axes: "Axes", told: dict[str, Any]) -> None:
    axes.set_title("best against its own before", fontsize=9)
    _intervals(axes, told, {arm: figures.get("appeal") for arm, figures in told["arms"].items()})


def _against(axes: "Axes", told: dict[str, Any]) -> None:
    axes.set_title(f"last step against the last of {told['reference']}", fontsize=9)
    rows = {"before": told["before"]["against_last"].get("appeal")}
    arms = {arm: figures["against_last"] for arm, figures in told["arms"].items() if "against_last" in figures}
    _intervals(axes, told, rows | {arm: criteria.get("appeal") for arm, criteria in arms.items()})


def _intervals(axes: "Axes", told: dict[str, Any], rows: dict[str, dict[str, Any] | None]) -> None:
    """A row an arm: its appeal win rate, with the interval as a line."""
    shown = {arm: rates for arm, rates in rows.items() if rates}
    for i, (arm, rates) in enumerate(shown.items()):
        colour = colours(told).get(arm, INK)
        axes.plot(rates["ci95"], [i, i], color=colour, linewidth=2)
        axes.plot(rates["win"], i, "o", color=colour)
    axes.set_yticks(range(len(shown)), [*shown])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xlim(-2, 102)
    axes.set_xlabel("appeal win, % (95 %)")


def _appeal(axes: "Axes", told: dict[str, Any]) -> None:
    _curves(axes, told, lambda check: check.get("appeal"), "win")
    axes.set_title("appeal win over steps, %", fontsize=9)
    axes.set_ylim(0, 104)


def _score(axes: "Axes", told: dict[str, Any]) -> None:
    _curves(axes, told, lambda check: check.get("score"), "difference")
    axes.set_title("appeal score above that of step 0", fontsize=9)


def _faithfulness(axes: "Axes", told: dict[str, Any]) -> None:
    _curves(axes, told, lambda check: check.get("faithfulness_net"), "net")
    axes.set_title("faithfulness, win - lose, points", fontsize=9)


def _drift(axes: "Axes", told: dict[str, Any]) -> None:
    _curves(axes, told, lambda check: check["drift"]["saturation"], "difference")
    axes.set_title("drift of saturation (1: whole range)", fontsize=9)


def _guards(told: dict[str, Any]) -> "list[Panel]":
    """A panel for each of the guards on diversity and held-out loss that all arms have measured."""
    measured = [check["guards"].keys() for figures in told["arms"].values() for check in figures["curve"]]
    shown = {DIVERSITY[0]: Diversity().threshold, HELD_OUT: HeldOut().threshold}
    return [partial(_guard, name=name, threshold=at) for name, at in shown.items() if all(name in m for m in measured)]


def _guard(axes: "Axes", told: dict[str, Any], *, name: str, threshold: float) -> None:
    """The mean of an arm's runs as a line from step 0, where all is 1, and each run as a dot."""
    for arm, figures in told["arms"].items():
        checks = [(check["step"], [run["value"] for run in check["guards"][name]]) for check in figures["curve"]]
        means, colour = [sum(values) / len(values) for _, values in checks], colours(told)[arm]
        axes.plot([0, *(step for step, _ in checks)], [1, *means], color=colour, label=arm, linewidth=1.3)
        dots = [(step, value) for step, values in checks for value in values]
        axes.plot(*zip(*dots, strict=True), ".", color=colour, markersize=5)
    axes.axhline(1, color=INK, linewidth=0.8)
    axes.axhline(threshold, color=INK, linewidth=0.8, linestyle="--")
    axes.set_title(f"{name}, after / before (dashed: threshold)", fontsize=9)
    axes.set_xlabel("step")


def _curves(axes: "Axes", told: dict[str, Any], of: Any, name: str) -> None:
    """A line an arm from step 0, where all is 0, over the steps that all its runs reached; arms lie side by side."""
    arms, ticks = list(told["arms"]), {0}
    for i, arm in enumerate(arms):
        checks = [(check["step"], of(check)) for check in told["arms"][arm]["curve"] if of(check)]
        steps, values = [step for step, _ in checks], [check[name] for _, check in checks]
        aside = 0.06 * (i - (len(arms) - 1) / 2) * min(steps, default=0)
        reach = [[abs(check["ci95"][j] - check[name]) for _, check in checks] for j in (0, 1)]
        places, colour = [step + aside for step in steps], colours(told)[arm]
        axes.plot([0, *places], [0, *values], color=colour, label=arm, linewidth=1.3)
        axes.errorbar(places, values, yerr=reach, color=colour, fmt=".", elinewidth=1, markersize=5)
        ticks |= set(steps)
    axes.axhline(0, color=INK, linewidth=0.8)
    if len(ticks) < 10:
        axes.set_xticks(sorted(ticks))
    axes.set_xlabel("step")
